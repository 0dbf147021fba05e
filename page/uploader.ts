import Uppy from '@uppy/core'
import Dashboard from '@uppy/dashboard'
import GoldenRetriever from '@uppy/golden-retriever'
import Tus from '@uppy/tus'
import type { Config } from './config.js'
import { formatSize } from './elements.js'
import type { Tab } from './tab.js'

/** Uppy, as this page has it: files start as they are chosen, and go on after whatever interrupts them. */
export function createUploader ({ endpoint, maxSize }: Config, tab: Tab): Uppy {
  const uppy = new Uppy({ autoProceed: true, restrictions: { maxFileSize: maxSize } })
    .use(Dashboard, {
      target: '#uploader',
      inline: true,
      width: '100%',
      height: 360,
      theme: 'auto',
      note: maxSize === null ? null : `Up to ${formatSize(maxSize)} each`,
      proudlyDisplayPoweredByUppy: false
    })
    .use(Tus, { endpoint, limit: AT_ONCE, retryDelays: RETRY_DELAYS, removeFingerprintOnSuccess: true })
  if (tab !== 'another') restoreFiles(uppy, tab)
  return uppy
}

/** Goes on with what this browser has copies of, unless all of it was paused. The others have to be chosen again: `UnfinishedUploads` names them. */
function restoreFiles (uppy: Uppy, tab: Tab): void {
  uppy.on('restored', () => {
    uppy.removeFiles(uppy.getFiles().filter(file => file.isGhost || file.progress.uploadComplete).map(({ id }) => id))
    const files = uppy.getFiles()
    if (files.length === 0) uppy.setState({ recoveredState: null })
    else if (tab === 'this' && !files.every(file => file.isPaused)) uppy.emit('restore-confirmed')
  })
  // Its types do not know all options of its store.
  const indexedDB: object = { maxFileSize: COPY_FILE, maxTotalSize: COPY_ALL }
  uppy.use(GoldenRetriever, { indexedDB })
}

/** Files that are sent at the same time. A browser has six connections to one server: some are left for questions and answers. */
const AT_ONCE = 4
/** After a failure, in ms; anew after each one that brought some bytes. A quarter of an hour, then a person has to press a button. */
const RETRY_DELAYS = [200, 500, 1000, 2000, 3000, 5000, 8000, 15_000, ...Array<number>(28).fill(30_000)]
/** What the browser keeps a copy of, so that it goes on by itself after the page is loaded again, in bytes. */
const COPY_FILE = 100 * 1024 ** 2
const COPY_ALL = 500 * 1024 ** 2
