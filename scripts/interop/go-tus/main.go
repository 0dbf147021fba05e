// Uploads a file with go-tus: `client URL FILE`. With TOKEN it sends one; from TOKEN_URL it gets another. With PATIENT it
// retries for longer.
package main

import (
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	tus "github.com/eventials/go-tus"
	"github.com/eventials/go-tus/memorystore"
)

func main() {
	if err := upload(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func upload(address, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	store, err := memorystore.NewMemoryStore()
	if err != nil {
		return err
	}
	config := tus.DefaultConfig()
	config.Resume = true
	config.Store = store
	client, err := tus.NewClient(address, config)
	if err != nil {
		return err
	}
	upload, err := tus.NewUploadFromFile(file)
	if err != nil {
		return err
	}

	authorize(client, os.Getenv("TOKEN"))
	attempts, pause := 5, time.Duration(0)
	if os.Getenv("PATIENT") != "" {
		attempts, pause = 20, time.Second
	}
	create := true
	for attempt := 1; ; attempt++ {
		err = send(client, upload, create)
		if err == nil || attempt == attempts {
			return err
		}
		time.Sleep(pause)
		if isUnauthorized(err) {
			if err = refreshToken(client, err); err != nil {
				return err
			}
		}
		_, known := store.Get(upload.Fingerprint)
		create = !known
	}
}

func send(client *tus.Client, upload *tus.Upload, create bool) error {
	begin := client.ResumeUpload
	if create {
		begin = client.CreateUpload
	}
	uploader, err := begin(upload)
	if err != nil {
		return err
	}
	return uploader.Upload()
}

func authorize(client *tus.Client, token string) {
	if token != "" {
		client.Header.Set("Authorization", "Bearer "+token)
	}
}

func isUnauthorized(err error) bool {
	var refusal tus.ClientError
	return errors.As(err, &refusal) && refusal.Code == http.StatusUnauthorized
}

// Gets another token, or gives back why it was needed.
func refreshToken(client *tus.Client, cause error) error {
	source := os.Getenv("TOKEN_URL")
	if source == "" {
		return cause
	}
	response, err := http.Get(source)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	fresh, err := io.ReadAll(response.Body)
	authorize(client, string(fresh))
	return err
}
