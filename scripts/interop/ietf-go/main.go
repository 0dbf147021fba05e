// Uploads a file in the words of the draft, as the Go client of github.com/tus/rufh-implementations does: `client URL FILE`.
//
// One POST brings the file as a body of unknown length, and the URL is taken from a 104. Called again, it asks with HEAD how far
// that came, and sends the rest by PATCH. That client is a program without license or module, so this one is written after it:
// same requests, same interop version, and what it takes for success.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strconv"
	"time"
)

const interopVersion = "6"

// What the original keeps in a file.
var uploadURL string

func main() {
	attempts, pause := 5, time.Duration(0)
	if os.Getenv("PATIENT") != "" {
		attempts, pause = 20, time.Second
	}
	var err error
	for attempt := 0; attempt < attempts; attempt++ {
		if err = upload(os.Args[1], os.Args[2]); err == nil {
			return
		}
		log.Print(err)
		time.Sleep(pause)
	}
	log.Fatal("every attempt failed")
}

// One run of the original.
func upload(endpoint, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if uploadURL == "" {
		return create(endpoint, file)
	}
	offset, err := retrieveOffset()
	if err != nil {
		return err
	}
	stat, err := file.Stat()
	if err != nil || offset == stat.Size() {
		return err
	}
	if _, err = file.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	return appendRest(file, offset)
}

func create(endpoint string, file *os.File) error {
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		known := header.Get("Upload-Draft-Interop-Version") == interopVersion
		if location := header.Get("Location"); code == 104 && known && location != "" {
			uploadURL = location
		}
		return nil
	}}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "POST", endpoint, file)
	if err != nil {
		return err
	}
	request.Header.Set("Upload-Complete", "?1")
	_, err = send(request)
	return err
}

func retrieveOffset() (int64, error) {
	request, err := http.NewRequest("HEAD", uploadURL, nil)
	if err != nil {
		return 0, err
	}
	header, err := send(request)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(header.Get("Upload-Offset"), 10, 64)
}

func appendRest(file *os.File, offset int64) error {
	request, err := http.NewRequest("PATCH", uploadURL, file)
	if err != nil {
		return err
	}
	request.Header.Set("Upload-Offset", strconv.FormatInt(offset, 10))
	request.Header.Set("Upload-Complete", "?1")
	request.Header.Set("Content-Type", "application/partial-upload")
	_, err = send(request)
	return err
}

func send(request *http.Request) (http.Header, error) {
	request.Header.Set("Upload-Draft-Interop-Version", interopVersion)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, fmt.Errorf("unexpected status code: %d", response.StatusCode)
	}
	_, err = io.ReadAll(response.Body)
	return response.Header, err
}
