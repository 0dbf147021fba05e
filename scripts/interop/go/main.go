// Uploads a file with tusgo: `client URL FILE`. With TOKEN it sends one; from TOKEN_URL it gets another. With PATIENT it
// retries for longer.
package main

import (
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/bdragon300/tusgo"
)

func main() {
	if err := upload(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func upload(address, path string) error {
	base, err := url.Parse(address)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return err
	}

	client := tusgo.NewClient(http.DefaultClient, base)
	client.GetRequest = prepareRequest
	if _, err = client.UpdateCapabilities(); err != nil {
		return err
	}
	upload := tusgo.Upload{}
	create := func() (*http.Response, error) {
		return client.CreateUpload(&upload, stat.Size(), false, map[string]string{"filename": "file.bin"})
	}
	if err = withToken(create); err != nil {
		return err
	}
	stream := tusgo.NewUploadStream(client, &upload)
	attempts, pause := 5, time.Duration(0)
	if os.Getenv("PATIENT") != "" {
		attempts, pause = 20, time.Second
	}
	for attempt := 0; attempt < attempts; attempt++ {
		err = withToken(func() (*http.Response, error) {
			err := goOn(stream, file)
			return stream.LastResponse, err
		})
		if err == nil || isUnauthorized(stream.LastResponse) {
			return err
		}
		time.Sleep(pause)
	}
	return err
}

// Does it again with another token, if there is one, after a 401.
func withToken(do func() (*http.Response, error)) error {
	response, err := do()
	if err == nil || !isUnauthorized(response) || os.Getenv("TOKEN_URL") == "" {
		return err
	}
	if err = refreshToken(); err != nil {
		return err
	}
	_, err = do()
	return err
}

func isUnauthorized(response *http.Response) bool {
	return response != nil && response.StatusCode == http.StatusUnauthorized
}

var token = os.Getenv("TOKEN")

// Is called for every request.
func prepareRequest(method, url string, body io.Reader, _ *tusgo.Client, _ *http.Client) (*http.Request, error) {
	request, err := http.NewRequest(method, url, body)
	if err == nil && token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request, err
}

func refreshToken() error {
	response, err := http.Get(os.Getenv("TOKEN_URL"))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	fresh, err := io.ReadAll(response.Body)
	token = string(fresh)
	return err
}

// Sends what the server does not have yet.
func goOn(stream *tusgo.UploadStream, file *os.File) error {
	if _, err := stream.Sync(); err != nil {
		return err
	}
	stream.ForceClean()
	if _, err := file.Seek(stream.Tell(), io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(stream, file)
	return err
}
