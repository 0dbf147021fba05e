const WIDTH = 780
const LABELS = 270
const VALUES = 90
const BAR = 18
const STEP = 28
const TOP = 46

const style = `
    .page { fill: #ffffff; } .text { fill: #1f2328; } .faint { fill: #59636e; } .bar { fill: #8c959f; } .own { fill: #1a7f37; } .limit { fill: #d1d9e0; } .spread { stroke: #1f2328; }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117; } .text { fill: #f0f6fc; } .faint { fill: #9198a1; } .bar { fill: #656c76; } .own { fill: #3fb950; } .limit { fill: #3d444d; } .spread { stroke: #f0f6fc; }
    }`

/**
 * A bar.
 *
 * @typedef {object} Bar
 * @property {string} label
 * @property {number} value
 * @property {number} low the end of a thin line over the bar
 * @property {number} high
 * @property {'own' | 'bar' | 'limit'} kind
 * @property {string} text the value, for people
 */

/**
 * Draws bars from zero on, one below the other.
 *
 * @param {{ title: string, subtitle: string, bars: Bar[] }} plot
 * @returns {string} SVG that follows the colours of the page, light or dark
 */
export function drawBars ({ title, subtitle, bars }) {
  const height = TOP + bars.length * STEP + 8
  const scale = (WIDTH - LABELS - VALUES) / Math.max(...bars.map(({ high }) => high))
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="system-ui, sans-serif" font-size="13">
  <title>${escape(title)}</title>
  <style>${style}
  </style>
  <rect class="page" width="${WIDTH}" height="${height}" rx="6"/>
  <text class="text" x="12" y="20" font-weight="600">${escape(title)}</text>
  <text class="faint" x="12" y="37" font-size="11">${escape(subtitle)}</text>
${bars.map((bar, index) => drawBar(bar, TOP + index * STEP, scale)).join('\n')}
</svg>
`
}

function drawBar ({ label, value, low, high, kind, text }, y, scale) {
  const round = number => Number(number.toFixed(1))
  const [middle, base] = [y + BAR / 2, y + BAR / 2 + 4.5]
  const [from, to] = [low, high].map(end => round(LABELS + end * scale))
  return [
    `  <text class="text" x="${LABELS - 8}" y="${base}" text-anchor="end">${escape(label)}</text>`,
    `  <rect class="${kind}" x="${LABELS}" y="${y}" width="${round(value * scale)}" height="${BAR}" rx="2"/>`,
    `  <path class="spread" d="M${from} ${middle}H${to}"/>`,
    `  <text class="text" x="${to + 8}" y="${base}">${escape(text)}</text>`
  ].join('\n')
}

function escape (text) {
  return text.replace(/[&<>"]/g, character => `&#${character.charCodeAt(0)};`)
}
