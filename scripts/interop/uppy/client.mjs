import Uppy from '@uppy/core'
import Tus from '@uppy/tus'
import { readFileSync } from 'node:fs'
import { getPatience } from '../lib/patience.mjs'
import { getTokenOptions } from '../lib/token.mjs'

const [endpoint, path] = process.argv.slice(2)
const bytes = readFileSync(path)
const uppy = new Uppy().use(Tus, { endpoint, ...getPatience(), ...getTokenOptions() })
// Outside of a browser, tus-js-client takes a buffer where Uppy has a file, which knows its size.
uppy.addFile({ name: 'file.bin', type: 'application/octet-stream', data: Object.assign(bytes, { size: bytes.length }) })
const { successful, failed } = await uppy.upload()
if (successful.length !== 1 || failed.length > 0) throw new Error(failed[0]?.error ?? 'nothing was uploaded')
