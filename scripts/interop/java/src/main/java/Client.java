import io.tus.java.client.ProtocolException;
import io.tus.java.client.TusClient;
import io.tus.java.client.TusExecutor;
import io.tus.java.client.TusURLMemoryStore;
import io.tus.java.client.TusUpload;
import io.tus.java.client.TusUploader;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;

/**
 * Uploads a file with tus-java-client: {@code Client URL FILE}. With TOKEN it sends one; from TOKEN_URL it gets another. With PATIENT it
 * retries for longer.
 */
public class Client {
    private static String token = System.getenv("TOKEN");

    public static void main(String[] args) throws Exception {
        TusClient client = new TusClient() {
            @Override
            public void prepareConnection(HttpURLConnection connection) {
                super.prepareConnection(connection);
                if (token != null) {
                    connection.addRequestProperty("Authorization", "Bearer " + token);
                }
            }
        };
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
        if (System.getenv("PATIENT") != null) {
            executor.setDelays(new int[] {0, 1000, 2000, 3000, 5000, 5000, 5000, 10_000});
        }
        if (!makeAttempts(executor)) {
            System.exit(1);
        }
    }

    /** The executor does not try again after a 401: with another token, another call does. */
    private static boolean makeAttempts(TusExecutor executor) throws Exception {
        try {
            return executor.makeAttempts();
        } catch (ProtocolException error) {
            if (System.getenv("TOKEN_URL") == null || error.getCausingConnection().getResponseCode() != 401) {
                throw error;
            }
            try (InputStream fresh = new URL(System.getenv("TOKEN_URL")).openStream()) {
                token = new String(fresh.readAllBytes(), StandardCharsets.UTF_8);
            }
            return executor.makeAttempts();
        }
    }
}
