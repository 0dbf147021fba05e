/** Where the runner told the process of a contestant to store: the SDK reads the keys from the environment by itself. */
export const bucket = process.env.BENCH_S3_BUCKET

/** For `S3Client`. */
export const clientConfig = { endpoint: process.env.S3_ENDPOINT, region: process.env.AWS_REGION || 'us-east-1', forcePathStyle: true }

/** Of everyone who lets one choose, in bytes. */
export const partSize = 8 * 1024 * 1024
