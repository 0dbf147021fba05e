export function draw (): string
export function drawInto (page: string): string
