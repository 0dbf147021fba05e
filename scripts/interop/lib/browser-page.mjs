// Runs in the browser. `upload` resolves to what went wrong, or to nothing.
import Uppy from '@uppy/core'
import Tus from '@uppy/tus'
import { Upload } from 'tus-js-client'
import { createTokenOptions } from './token-recipes.mjs'

globalThis.upload = async ({ client, endpoint, token, source, recipe }) => {
  const file = new File([await (await fetch('/file')).blob()], 'file.bin')
  const fetchToken = async () => (await fetch(source)).text()
  const options = { endpoint, chunkSize: 4 * 1024 * 1024, retryDelays: [0, 200, 1000], ...createTokenOptions(recipe, token, fetchToken) }
  return client === 'uppy' ? uploadWithUppy(file, options) : uploadWithTus(file, options)
}

async function uploadWithUppy (file, options) {
  const uppy = new Uppy().use(Tus, options)
  uppy.addFile({ name: file.name, data: file })
  const { failed } = await uppy.upload()
  return failed[0]?.error ?? ''
}

function uploadWithTus (file, options) {
  return new Promise(resolve => {
    new Upload(file, { ...options, onError: error => resolve(String(error)), onSuccess: () => resolve('') }).start()
  })
}
