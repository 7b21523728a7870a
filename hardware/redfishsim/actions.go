package redfishsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// maxBody bounds what a client may send; Redfish bodies are small.
const maxBody = 1 << 20

func (b *BMC) handle(r *http.Request) answer {
	path := strings.TrimSuffix(r.URL.Path, "/")
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return b.get(r, path)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return problem(http.StatusBadRequest, "could not read the body")
	}
	if tag := r.Header.Get("If-Match"); tag != "" && tag != "*" {
		if o := b.resource(path); o != nil && etag(o) != tag {
			return problem(http.StatusPreconditionFailed, "the resource has changed")
		}
	}
	switch {
	case r.Method == http.MethodPost && path == sessionsPath:
		return b.login(body)
	case r.Method == http.MethodDelete && strings.HasPrefix(path, sessionsPath+"/"):
		return b.logout(strings.TrimPrefix(path, sessionsPath+"/"))
	case r.Method == http.MethodPost && path == resetPath:
		return b.reset(body)
	case r.Method == http.MethodPatch && path == systemPath:
		return b.patchSystem(body)
	case r.Method == http.MethodPatch && path == settingsPath:
		return b.patchBIOS(body)
	case r.Method == http.MethodPost && path == systemPath+"/Bios/Actions/Bios.ResetBios":
		return b.resetBIOS()
	}
	if part, ok := strings.CutPrefix(path, systemPath+"/Storage/"); ok {
		part := strings.Split(part, "/")
		switch {
		case r.Method == http.MethodPost && len(part) == 2 && part[1] == "Volumes":
			return b.createVolume(part[0], path, body)
		case r.Method == http.MethodDelete && len(part) == 3 && part[1] == "Volumes":
			if err := b.machine.DeleteVolume(part[2]); err != nil {
				return refused(err)
			}
			return answer{status: http.StatusNoContent}
		}
	}
	if b.resource(path) == nil {
		return problem(http.StatusNotFound, "no resource at "+path)
	}
	return problem(http.StatusMethodNotAllowed, r.Method+" is not possible here")
}

func (b *BMC) reset(body []byte) answer {
	var ask struct{ ResetType ResetType }
	if err := json.Unmarshal(body, &ask); err != nil {
		return problem(http.StatusBadRequest, "the body is not JSON")
	}
	if err := b.machine.Reset(ask.ResetType); err != nil {
		return refused(err)
	}
	return answer{status: http.StatusNoContent}
}

func (b *BMC) patchSystem(body []byte) answer {
	var ask struct {
		Boot struct{ BootSourceOverrideEnabled, BootSourceOverrideTarget *string }
	}
	if err := json.Unmarshal(body, &ask); err != nil {
		return problem(http.StatusBadRequest, "the body is not JSON")
	}
	s := b.machine.State()
	target, enabled := s.BootTarget, s.BootEnabled
	if t := ask.Boot.BootSourceOverrideTarget; t != nil {
		target = *t
	}
	if e := ask.Boot.BootSourceOverrideEnabled; e != nil {
		enabled = *e
	}
	if err := b.machine.SetBoot(target, enabled); err != nil {
		return refused(err)
	}
	return answer{status: http.StatusOK, body: b.resource(systemPath)}
}

func (b *BMC) patchBIOS(body []byte) answer {
	var ask struct {
		Attributes map[string]any
		Apply      struct{ ApplyTime string } `json:"@Redfish.SettingsApplyTime"`
	}
	if err := json.Unmarshal(body, &ask); err != nil || len(ask.Attributes) == 0 {
		return problem(http.StatusBadRequest, "the body has no Attributes")
	}
	if t := ask.Apply.ApplyTime; t != "" && t != "OnReset" {
		return problem(http.StatusBadRequest, "apply time "+t+" is not supported")
	}
	if err := b.machine.SetBIOS(ask.Attributes); err != nil {
		return refused(err)
	}
	return answer{status: http.StatusOK, body: b.resource(settingsPath)}
}

func (b *BMC) resetBIOS() answer {
	factory := map[string]any{}
	for _, a := range b.machine.spec.Attributes {
		if !a.ReadOnly {
			factory[a.Name] = a.Factory
		}
	}
	if err := b.machine.SetBIOS(factory); err != nil {
		return refused(err)
	}
	return answer{status: http.StatusNoContent}
}

func (b *BMC) createVolume(controller, path string, body []byte) answer {
	var ask struct {
		Name          string
		RAIDType      hardware.RAIDLevel
		CapacityBytes int64
		VolumeUsage   string
		Links         struct {
			Drives []struct {
				ID string `json:"@odata.id"`
			}
		}
	}
	if err := json.Unmarshal(body, &ask); err != nil {
		return problem(http.StatusBadRequest, "the body is not a volume")
	}
	v := Volume{Controller: controller, Name: ask.Name, RAIDLevel: ask.RAIDType, SizeBytes: ask.CapacityBytes, Bootable: ask.VolumeUsage == "SystemData"}
	base := fmt.Sprintf("%s/Storage/%s/Drives/", systemPath, controller)
	for _, d := range ask.Links.Drives {
		serial, ok := strings.CutPrefix(d.ID, base)
		if !ok {
			return problem(http.StatusBadRequest, "no drive "+d.ID+" on this controller")
		}
		v.Disks = append(v.Disks, serial)
	}
	id, err := b.machine.CreateVolume(v)
	if err != nil {
		return refused(err)
	}
	header := http.Header{}
	header.Set("Location", path+"/"+id)
	return answer{status: http.StatusCreated, header: header, body: b.resource(path + "/" + id)}
}
