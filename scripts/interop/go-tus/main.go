// Uploads a file with go-tus: `client URL FILE`.
package main

import (
	"log"
	"os"

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

	uploader, err := client.CreateUpload(upload)
	for attempt := 0; err == nil; attempt++ {
		failure := uploader.Upload()
		if failure == nil || attempt == 4 {
			return failure
		}
		uploader, err = client.ResumeUpload(upload)
	}
	return err
}
