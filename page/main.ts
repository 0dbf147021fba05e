import { readConfig } from './config.js'
import { FinishedUploads } from './finished.js'
import { find } from './elements.js'
import { claimTab } from './tab.js'
import { UnfinishedUploads } from './unfinished.js'
import { createUploader } from './uploader.js'

/** How long Uppy may take to find the copies of files, in ms; later it is as good, and the page jumps. */
const RESTORED = 400

const config = readConfig()
const finished = new FinishedUploads(find('#finished'), config)
const unfinished = new UnfinishedUploads(find('#unfinished'), config)
const tab = await claimTab()
const uppy = createUploader(config, tab)
const news = find('#news')

uppy.on('upload-success', (file, { uploadURL }) => {
  if (!file || !uploadURL) return
  finished.add({ name: file.name ?? 'A file', size: file.size ?? 0, url: uploadURL, at: Date.now() })
  news.textContent = `${file.name} is uploaded.`
})

// What is finished makes room for the next ones.
uppy.on('complete', ({ successful = [] }) => {
  uppy.removeFiles(successful.map(({ id }) => id))
  if (uppy.getFiles().length === 0) uppy.clear()
})

// Another tab sends what this one would offer to go on with.
if (tab !== 'another') {
  const show = () => unfinished.show(uppy.getFiles().map(({ id }) => id))
  uppy.on('file-added', ({ id }) => unfinished.hide(id))
  uppy.on('restored', show)
  // Uppy does not tell when it had nothing to restore.
  setTimeout(show, RESTORED)
}
