/** @throws if the page has no such element */
export function find (selector: string, within: ParentNode = document): HTMLElement {
  const element = within.querySelector<HTMLElement>(selector)
  if (!element) throw new Error(`There is no ${selector}`)
  return element
}

/** An element with these properties and children. Text stays text, whatever is in it. */
export function make<Name extends keyof HTMLElementTagNameMap> (
  name: Name, properties: Partial<HTMLElementTagNameMap[Name]>, ...children: ReadonlyArray<Node | string>
): HTMLElementTagNameMap[Name] {
  const element = Object.assign(document.createElement(name), properties)
  element.append(...children)
  return element
}

/** `1.5 MB`: units of 1024, because Uppy has them. */
export function formatSize (bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes || 1) / 10))
  const value = bytes / 1024 ** power
  return `${value.toLocaleString('en', { maximumFractionDigits: value < 10 && power > 0 ? 1 : 0 })} ${UNITS[power]}`
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB']
