export const clients: ReadonlyArray<{ readonly name: string, readonly title: string, readonly url: string, readonly language: string, readonly needs: string, readonly resumes: string }>
