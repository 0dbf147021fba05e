import io.tus.java.client.ProtocolException;
import io.tus.java.client.TusClient;
import io.tus.java.client.TusExecutor;
import io.tus.java.client.TusURLMemoryStore;
import io.tus.java.client.TusUpload;
import io.tus.java.client.TusUploader;
import java.io.File;
import java.io.IOException;
import java.net.URL;

/** Uploads a file with tus-java-client: {@code Client URL FILE}. */
public class Client {
    public static void main(String[] args) throws Exception {
        TusClient client = new TusClient();
        client.setUploadCreationURL(new URL(args[0]));
        client.enableResuming(new TusURLMemoryStore());
        TusUpload upload = new TusUpload(new File(args[1]));

        TusExecutor executor = new TusExecutor() {
            @Override
            protected void makeAttempt() throws ProtocolException, IOException {
                TusUploader uploader = client.resumeOrCreateUpload(upload);
                uploader.setChunkSize(64 * 1024);
                while (uploader.uploadChunk() > -1) {
                    // One chunk after the other.
                }
                uploader.finish();
            }
        };
        executor.setDelays(new int[] {0, 200, 1000});
        if (!executor.makeAttempts()) {
            System.exit(1);
        }
    }
}
