// Uploads a file with tusgo: `client URL FILE`.
package main

import (
	"io"
	"log"
	"net/http"
	"net/url"
	"os"

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
	if _, err = client.UpdateCapabilities(); err != nil {
		return err
	}
	upload := tusgo.Upload{}
	if _, err = client.CreateUpload(&upload, stat.Size(), false, map[string]string{"filename": "file.bin"}); err != nil {
		return err
	}
	stream := tusgo.NewUploadStream(client, &upload)
	for attempt := 0; attempt < 5; attempt++ {
		if err = goOn(stream, file); err == nil {
			return nil
		}
	}
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
