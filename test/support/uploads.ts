/** What an operation hands to a storage. */
export { makeUpload } from '../../lib/contract/uploads.js'
