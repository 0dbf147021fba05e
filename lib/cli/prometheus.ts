/** @throws with what to do, if it is not installed */
export async function loadClient (): Promise<typeof import('prom-client')> {
  try {
    return await import('prom-client')
  } catch (error) {
    if (!isNotInstalled(error)) throw error
    throw new Error('--metrics needs the package prom-client: npm install prom-client', { cause: error })
  }
}

export function hasClient (): Promise<boolean> {
  return import('prom-client').then(() => true, error => {
    if (!isNotInstalled(error)) throw error
    return false
  })
}

function isNotInstalled (error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND'
}
