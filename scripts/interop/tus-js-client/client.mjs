import { upload } from '../lib/tus-js.mjs'
await upload(await import('tus-js-client'))
