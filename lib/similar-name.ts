/** Which of the known names is likely to be meant by one that is unknown: it differs in little, or one contains the other. */
export function findSimilar (name: string, known: readonly string[]): string | null {
  let [best, least]: [string | null, number] = [null, Math.max(2, Math.floor(name.length / 3)) + 1]
  for (const one of known) {
    const distance = compare(name.toLowerCase(), one.toLowerCase())
    if (distance < least) [best, least] = [one, distance]
  }
  return best
}

function compare (name: string, known: string): number {
  if (name.length >= 3 && (known.includes(name) || name.includes(known))) return 1
  return Math.min(name.length, known.length) < 3 ? Infinity : countEdits(name, known)
}

/** How many characters must be changed, added or left out to come from one to the other. */
function countEdits (from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [i, character] of [...from].entries()) {
    const next = [i + 1]
    for (let j = 0; j < to.length; j++) next.push(Math.min(row[j + 1]! + 1, next[j]! + 1, row[j]! + (character === to[j] ? 0 : 1)))
    row = next
  }
  return row.at(-1)!
}
