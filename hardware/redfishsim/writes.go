package redfishsim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// maxBody bounds what a client may send; Redfish bodies are small.
const maxBody = 1 << 20

// request is a request with its path below root, in this package's spelling.
type request struct {
	*http.Request
	path string
	body []byte
}

func (b *BMC) handle(w http.ResponseWriter, r *request) answer {
	if strings.HasPrefix(r.path, b.path.system) {
		if err := b.machine.Follow(r.Context()); err != nil {
			return refused(err)
		}
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return b.get(r, r.path)
	}
	var err error
	if r.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return general(http.StatusRequestEntityTooLarge, "the body is longer than a Redfish request can be")
		}
		return general(http.StatusBadRequest, "could not read the body")
	}
	if bad := b.matched(r); bad != nil {
		return *bad
	}
	if b.p.serve != nil {
		if a, ok := b.p.serve(b, r); ok {
			return a
		}
	}
	switch method, path := r.Method, r.path; {
	case method == http.MethodPost && path == sessionsPath:
		return b.login(r)
	case method == http.MethodDelete && strings.HasPrefix(path, sessionsPath+"/"):
		return b.logout(strings.TrimPrefix(path, sessionsPath+"/"))
	case method == http.MethodPost && path == b.path.system+resetSystem:
		return b.resetSystem(r)
	case method == http.MethodPost && path == b.path.manager+resetManager:
		return b.resetManager(r)
	case method == http.MethodPatch && path == b.path.system:
		return b.patchSystem(r)
	case method == http.MethodPatch && path == b.path.settings && b.p.settings != "":
		return b.patchBIOS(r)
	case method == http.MethodPost && path == b.path.bios+resetBIOS:
		return b.done(b.machine.ResetBIOS())
	case method == http.MethodPatch && path == b.path.system+"/SecureBoot" && b.p.secureBoot:
		return b.patchSecureBoot(r)
	}
	if part, ok := strings.CutPrefix(r.path, b.path.storage+"/"); ok && b.p.raid {
		part := strings.Split(part, "/")
		switch {
		case r.Method == http.MethodPost && len(part) == 2 && part[1] == "Volumes":
			return b.createVolume(part[0], r)
		case r.Method == http.MethodDelete && len(part) == 3 && part[1] == "Volumes":
			return b.deleteVolume(part[2])
		}
	}
	if !b.exists(r.path) {
		return general(http.StatusNotFound, "no resource at "+r.URL.Path)
	}
	return general(http.StatusMethodNotAllowed, r.Method+" is not possible here")
}

func (b *BMC) exists(path string) (yes bool) {
	b.look(func(v *view) { yes = v.resource(path) != nil })
	return yes
}

// matched checks If-Match, nil if the request may go on.
func (b *BMC) matched(r *request) *answer {
	failed := general(http.StatusPreconditionFailed, "the resource has changed, or does not take If-Match")
	tag := r.Header.Get("If-Match")
	switch {
	case tag == "" && r.Method == http.MethodPatch && b.p.ifMatch == matchRequired:
		a := problem(http.StatusPreconditionRequired, message{"Base.1.18.PreconditionRequired", "the request needs If-Match"})
		return &a
	case tag == "":
		return nil
	case b.p.refuseMatch && r.Method == http.MethodPost && strings.Contains(r.path, "/Actions/"):
		return &failed
	case tag == "*":
		return nil
	}
	stale := false
	b.look(func(v *view) {
		o := v.resource(r.path)
		stale = o != nil && etag(o) != tag
	})
	if stale {
		return &failed
	}
	return nil
}

func (b *BMC) done(err error) answer {
	if err != nil {
		return refused(err)
	}
	return answer{status: http.StatusNoContent}
}

// changed answers a PATCH with the resource as it is now.
func (b *BMC) changed(r *request, err error) answer {
	if err != nil {
		return refused(err)
	}
	return b.get(r, r.path)
}

// accepted answers that a job does it.
func (b *BMC) accepted(job string) answer {
	return answer{status: http.StatusAccepted, header: http.Header{"Location": {b.uri("/TaskService/Tasks/" + job)}}}
}

func notJSON() answer {
	return problem(http.StatusBadRequest, message{"Base.1.18.MalformedJSON", "the body is not the JSON that is expected here"})
}

func (b *BMC) resetSystem(r *request) answer {
	var ask struct{ ResetType ResetType }
	if err := json.Unmarshal(r.body, &ask); err != nil {
		return notJSON()
	}
	return b.done(b.machine.ResetContext(r.Context(), ask.ResetType))
}

func (b *BMC) resetManager(r *request) answer {
	var ask struct{ ResetType string }
	if err := json.Unmarshal(r.body, &ask); err != nil && len(r.body) > 0 {
		return notJSON()
	}
	if !slices.Contains([]string{"", "GracefulRestart", "ForceRestart"}, ask.ResetType) {
		return general(http.StatusBadRequest, "a BMC knows no reset type "+ask.ResetType)
	}
	b.RestartBMC(b.machine.spec.Times.BMC)
	return answer{status: http.StatusNoContent}
}

func (b *BMC) patchSystem(r *request) answer {
	var ask struct {
		Boot *struct {
			BootSourceOverrideEnabled, BootSourceOverrideTarget, BootSourceOverrideMode *string
			BootOrder                                                                   []string
		}
	}
	if err := json.Unmarshal(r.body, &ask); err != nil {
		return notJSON()
	}
	if ask.Boot == nil {
		return problem(http.StatusBadRequest, message{"Base.1.18.PropertyMissing", "nothing but Boot can be written here"})
	}
	c := bootChange{Target: ask.Boot.BootSourceOverrideTarget, Enabled: ask.Boot.BootSourceOverrideEnabled,
		Mode: ask.Boot.BootSourceOverrideMode, Order: ask.Boot.BootOrder}
	switch {
	case c.Mode != nil && !b.p.setMode:
		return problem(http.StatusBadRequest, message{"Base.1.18.PropertyNotWritable", "BootSourceOverrideMode is read-only"})
	case c.Order != nil && !b.p.bootOrder:
		return problem(http.StatusBadRequest, message{"Base.1.18.PropertyUnknown", "BootOrder is unknown"})
	case c.Target != nil && c.Enabled == nil && b.p.enabledWithTarget:
		return problem(http.StatusBadRequest, message{"Base.1.18.PropertyMissing", "BootSourceOverrideEnabled must come with BootSourceOverrideTarget"})
	}
	if bad := b.inPOST("BootSourceOverrideTarget"); bad != nil {
		return *bad
	}
	return b.changed(r, b.machine.do(func() error { return b.machine.changeBoot(c) }))
}

// inPOST refuses what a personality does not do during POST.
func (b *BMC) inPOST(property string) *answer {
	var post bool
	b.look(func(v *view) { post, _ = v.m.inPOST() })
	if !post || !b.p.needsPOST {
		return nil
	}
	a := problem(http.StatusBadRequest, message{b.p.messages + ".UnableToModifyDuringSystemPOST",
		"The value for property " + property + " cannot be changed while the computer system BIOS is in POST."})
	return &a
}

// unlicensed refuses what needs a licence, in Supermicro's words.
func (b *BMC) unlicensed() *answer {
	if !b.knobs.Load().NoLicence {
		return nil
	}
	a := problem(http.StatusForbidden, message{"SMC.1.0.OemLicenseNotPassed",
		"Not licensed to perform this request. The following licenses DCMS OOB were needed"})
	return &a
}

type biosSettings struct {
	Attributes map[string]any
	Apply      *struct{ ApplyTime string } `json:"@Redfish.SettingsApplyTime"`
}

// biosSettings reads what is to be written into the settings object, or says what is wrong.
func (b *BMC) biosSettings(r *request) (ask biosSettings, bad *answer) {
	if bad := b.unlicensed(); bad != nil {
		return ask, bad
	}
	var a answer
	err := json.Unmarshal(r.body, &ask)
	switch {
	case err != nil:
		a = notJSON()
	case len(ask.Attributes) == 0:
		a = problem(http.StatusBadRequest, message{"Base.1.18.PropertyMissing", "the body has no Attributes"})
	case ask.Apply != nil && !b.p.applyTime:
		a = problem(http.StatusBadRequest, message{"Base.1.18.PropertyUnknown", "The property @Redfish.SettingsApplyTime is not in the list of valid properties for the resource."})
	case ask.Apply != nil && ask.Apply.ApplyTime != "" && ask.Apply.ApplyTime != "OnReset":
		a = problem(http.StatusBadRequest, message{"Base.1.18.PropertyValueNotInList", "apply time " + ask.Apply.ApplyTime + " is not supported"})
	default:
		return ask, nil
	}
	return ask, &a
}

func (b *BMC) patchBIOS(r *request) answer {
	ask, bad := b.biosSettings(r)
	if bad != nil {
		return *bad
	}
	return b.changed(r, b.machine.SetBIOS(ask.Attributes))
}

func (b *BMC) patchSecureBoot(r *request) answer {
	if bad := b.unlicensed(); bad != nil {
		return *bad
	}
	var ask struct{ SecureBootEnable *bool }
	if err := json.Unmarshal(r.body, &ask); err != nil || ask.SecureBootEnable == nil {
		return notJSON()
	}
	if bad := b.inPOST("SecureBootEnable"); bad != nil {
		return *bad
	}
	return b.changed(r, b.machine.SetSecureBoot(*ask.SecureBootEnable))
}

type driveRef struct {
	ID string `json:"@odata.id"`
}

func (b *BMC) createVolume(controller string, r *request) answer {
	var ask struct {
		Name, DisplayName string
		RAIDType          hardware.RAIDLevel
		CapacityBytes     int64
		StripSizeBytes    int64
		VolumeUsage       *string
		ApplyTime         *string `json:"@Redfish.OperationApplyTime"`
		Links             struct{ Drives, DedicatedSpareDrives []driveRef }
	}
	if err := json.Unmarshal(r.body, &ask); err != nil {
		return notJSON()
	}
	if bad := b.notReady(); bad != nil {
		return *bad
	}
	c, _ := b.machine.spec.controller(controller)
	switch {
	case ask.VolumeUsage != nil && !b.p.volumeUsage:
		return problem(http.StatusBadRequest, message{"Base.1.18.PropertyUnknown", "The property VolumeUsage is not in the list of valid properties for the resource."})
	case ask.ApplyTime != nil && (!b.p.applyTime || *ask.ApplyTime != applyTime(c)):
		return problem(http.StatusBadRequest, message{"Base.1.18.PropertyValueNotInList", "apply time " + *ask.ApplyTime + " is not supported by " + controller})
	}
	v := Volume{Controller: controller, Name: ask.Name, RAIDLevel: ask.RAIDType, SizeBytes: ask.CapacityBytes, StripBytes: ask.StripSizeBytes}
	if v.Name == "" {
		v.Name = ask.DisplayName
	}
	v.Bootable = ask.VolumeUsage != nil && *ask.VolumeUsage == "SystemData"
	var bad *answer
	if v.Disks, bad = b.disks(controller, ask.Links.Drives); bad != nil {
		return *bad
	}
	if v.Spares, bad = b.disks(controller, ask.Links.DedicatedSpareDrives); bad != nil {
		return *bad
	}
	id, job, err := b.machine.requestVolume(v)
	switch {
	case err != nil && b.p.raidJobs:
		return refusedDell(err)
	case err != nil:
		return refused(err)
	case job != "":
		return b.accepted(job)
	}
	a := b.get(r, r.path+"/"+id)
	a.status, a.header = http.StatusCreated, http.Header{"Location": {b.uri(r.path + "/" + id)}}
	return a
}

// disks finds the serials behind links to drives.
func (b *BMC) disks(controller string, refs []driveRef) ([]string, *answer) {
	var out []string
	for _, ref := range refs {
		path, _ := b.canonical(ref.ID)
		i := slices.IndexFunc(b.machine.spec.Disks, func(d Disk) bool { return d.Controller == controller })
		for i >= 0 && i < len(b.machine.spec.Disks) && b.drivePath(i) != path {
			i++
		}
		if i < 0 || i == len(b.machine.spec.Disks) {
			a := general(http.StatusBadRequest, "no drive "+ref.ID+" on this controller")
			return nil, &a
		}
		out = append(out, b.machine.spec.Disks[i].Serial)
	}
	return out, nil
}

func (b *BMC) deleteVolume(id string) answer {
	if bad := b.notReady(); bad != nil {
		return *bad
	}
	job, err := b.machine.requestDelete(id)
	switch {
	case err != nil && b.p.raidJobs:
		return refusedDell(err)
	case job != "":
		return b.accepted(job)
	}
	return b.done(err)
}

// notReady refuses changes of volumes that are not known before POST has found the devices.
func (b *BMC) notReady() *answer {
	var shown bool
	b.look(func(v *view) { shown = v.showsVolumes() })
	if shown {
		return nil
	}
	a := problem(http.StatusBadRequest, message{b.p.messages + ".ResourceNotReadyRetry", "The resource is not ready; retry once POST has found the devices."})
	return &a
}
