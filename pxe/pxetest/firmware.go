// Package pxetest plays the machine's part of a network boot.
package pxetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/crowbarkit/crowbarkit/pxe"
)

// Firmware is a machine whose iPXE has its address already and asks what to boot. The zero
// value of all fields but URL and MAC is useful.
type Firmware struct {
	// URL of the server, such as "http://127.0.0.1:8080".
	URL string
	MAC pxe.MAC
	// UUID, Arch and Platform are sent if not empty, as are Manufacturer, Product and Serial.
	UUID                          string
	Arch                          pxe.Arch
	Platform                      pxe.Firmware
	Manufacturer, Product, Serial string
	// Transport carries the requests, nil = http.DefaultTransport.
	Transport http.RoundTripper
}

// ErrFirmware is what Boot returns for an answer that some real firmware does not survive.
var ErrFirmware = errors.New("pxetest: firmware would hang")

// Boot asks the server and returns what the machine would boot, with iPXE's variables filled
// in and URLs made absolute. An answer of 404 is a local boot. It is as strict as the
// strictest firmware: no redirect, no missing Content-Length, no exit in success.
func (f *Firmware) Boot(ctx context.Context) (*pxe.Decision, error) {
	variables := map[string]string{
		"net0/mac": f.MAC.String(), "netX/mac": f.MAC.String(), "mac": f.MAC.String(), "uuid": f.UUID,
		"buildarch": string(f.Arch), "platform": string(f.Platform),
		"manufacturer": f.Manufacturer, "product": f.Product, "serial": f.Serial,
	}
	query := url.Values{"mac": {f.MAC.String()}}
	for name, value := range map[string]string{
		"uuid": f.UUID, "arch": string(f.Arch), "platform": string(f.Platform),
		"manufacturer": f.Manufacturer, "product": f.Product, "serial": f.Serial,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	base, err := url.Parse(strings.TrimSuffix(f.URL, "/") + pxe.Path + "?" + query.Encode())
	if err != nil {
		return nil, fmt.Errorf("boot %v: %w", f.MAC, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("boot %v: %w", f.MAC, err)
	}
	client := &http.Client{
		Transport:     f.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("boot %v: %w", f.MAC, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("boot %v: %w", f.MAC, err)
	}
	switch {
	case response.StatusCode == http.StatusNotFound:
		return &pxe.Decision{Local: pxe.LocalNotFound}, nil
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("boot %v: %w: %s: %.200s", f.MAC, ErrFirmware, response.Status, body)
	case response.ContentLength != int64(len(body)):
		return nil, fmt.Errorf("boot %v: %w: no Content-Length", f.MAC, ErrFirmware)
	}
	decision, err := pxe.ParseScript(string(body), variables)
	if err != nil {
		return nil, fmt.Errorf("boot %v: %w: %w", f.MAC, ErrFirmware, err)
	}
	if decision.Action != pxe.ActionBoot {
		return decision, nil
	}
	if decision.Kernel, err = absolute(base, decision.Kernel); err != nil {
		return nil, fmt.Errorf("boot %v: kernel: %w: %w", f.MAC, ErrFirmware, err)
	}
	for i := range decision.Initrds {
		if decision.Initrds[i].URL, err = absolute(base, decision.Initrds[i].URL); err != nil {
			return nil, fmt.Errorf("boot %v: initrd: %w: %w", f.MAC, ErrFirmware, err)
		}
	}
	return decision, nil
}

func absolute(base *url.URL, raw string) (string, error) {
	u, err := base.Parse(raw)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}
