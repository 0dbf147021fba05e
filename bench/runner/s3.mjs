/** Makes a bucket of this run alone, and resolves to its name. */
export async function createBucket (endpoint) {
  // The peers may have been installed only after this program began.
  const { CreateBucketCommand, S3Client } = await import('@aws-sdk/client-s3')
  const bucket = `bench-${Date.now().toString(36)}`
  await new S3Client({ endpoint, region: process.env.AWS_REGION || 'us-east-1', forcePathStyle: true }).send(new CreateBucketCommand({ Bucket: bucket }))
  return bucket
}
