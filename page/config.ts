/** What the server tells the page. */
export interface Config {
  /** Where uploads are created: an absolute URL. */
  readonly endpoint: string
  /** Of one file, in bytes; `null` is no limit. */
  readonly maxSize: number | null
  /** Whether finished uploads may be fetched. */
  readonly download: boolean
}

/** Reads what stands in the attributes of the body. */
export function readConfig (): Config {
  const { endpoint = '', maxSize, download } = document.body.dataset
  return {
    endpoint: new URL(endpoint, document.baseURI).href,
    maxSize: maxSize ? Number(maxSize) : null,
    download: download === 'true'
  }
}
