package redfishsim

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Personality is a vendor's way of doing Redfish, down to what breaks clients. What each
// does is in a file of its name, with the evidence for it: somebody's source, a captured tree, a
// thread on GitHub as OWNER/REPOSITORY#NUMBER, or "assumed".
type Personality string

// Personalities.
const (
	Generic    Personality = "generic"    // a conforming service
	Dell       Personality = "dell"       // iDRAC 9 and 10 with a PERC
	DellBOSS   Personality = "dell-boss"  // the same with a BOSS-S1 card
	HPE        Personality = "hpe"        // iLO 6
	Lenovo     Personality = "lenovo"     // XCC
	Supermicro Personality = "supermicro" // X12 and later
	OpenBMC    Personality = "openbmc"    // bmcweb, with no BIOS attributes and no RAID
	Huawei     Personality = "huawei"     // iBMC, which demands If-Match
)

// Personalities returns all of them.
func Personalities() []Personality {
	return []Personality{Generic, Dell, DellBOSS, HPE, Lenovo, Supermicro, OpenBMC, Huawei}
}

// traits are a personality as data, and as a few functions where data would not do.
type traits struct {
	personality Personality

	manufacturer, model, biosVersion  string
	product, bmcModel, bmcVersion     string
	redfishVersion                    string
	system, manager, chassis          string // IDs
	lowerCase                         bool   // URIs in lower case, with a slash at the end
	messages                          string // prefix of the vendor's own messages
	settings                          string // ID of the settings object; "" if the BIOS has no attributes
	registry, registryURI, biosTarget string
	applyTime                         bool // SettingsApplyTime is known; elsewhere it is an unknown property

	expand       expansion
	expandLevels int
	ifMatch      matching
	refuseMatch  bool // an action that comes with If-Match is answered 412

	lastReset, bootProgress bool // System.LastResetTime, System.BootProgress
	bootTargets             []string
	setMode                 bool // BootSourceOverrideMode can be written
	enabledWithTarget       bool // a boot target is refused without BootSourceOverrideEnabled
	bootOrder, secureBoot   bool
	needsPOST               bool // volumes only once POST has found the devices, no boot changes during POST
	raid                    bool // volumes can be made
	volumeUsage             bool
	chassisDrives           bool // drives live under a chassis of their controller
	controllerArray         bool // Storage.StorageControllers
	controllerCollection    bool // Storage.Controllers
	biosJobs, raidJobs      bool // changes are jobs
	showsPending            bool // Bios shows what pends as if it were in force
	textNumbers             []string

	attributes   []Attribute
	dependencies []Dependency
	legacy       Condition // true in Legacy boot mode
	smtOff       Condition // true without hyper-threading
	sessionLimit int
	sessionsFull message

	storage  func(*Spec) // default controllers, and where disks are
	driveID  func(d Disk, bay int) string
	volumeID func(number int, controller string) string
	jobID    func(number int) string

	decorate func(v *view, path string, o object) // last touches to a resource; may be nil
	find     func(v *view, seg []string) object   // resources of its own; may be nil
	// serve answers requests of its own; ok is false for what is not. May be nil.
	serve func(b *BMC, r *request) (a answer, ok bool)
}

// expansion is how far $expand goes (DSP0266, 7.3.1).
type expansion int

const (
	expandNone    expansion = iota // the parameter is ignored
	expandNoLinks                  // "."
	expandAll                      // "*" too
)

// matching is what a PATCH must come with.
type matching int

const (
	matchOptional matching = iota
	matchRequired          // without If-Match it is answered 428
)

// message is what an error says, by Redfish message registry.
type message struct{ id, text string }

// traits finds a personality, "" being Generic.
func (p Personality) traits() (*traits, error) {
	if p == "" {
		p = Generic
	}
	if t := personalities()[p]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("%w: personality %q, expected one of %s", ErrInvalid, p, strings.Join(names(Personalities()), ", "))
}

func names(list []Personality) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = string(p)
	}
	return out
}

// personalities is made once and never changed: thousands of machines share it.
var personalities = sync.OnceValue(func() map[Personality]*traits {
	out := map[Personality]*traits{}
	for p, t := range map[Personality]traits{
		Generic: generic(), Dell: dell(), DellBOSS: dellBOSS(), HPE: hpe(),
		Lenovo: lenovo(), Supermicro: supermicro(), OpenBMC: openBMC(), Huawei: huawei(),
	} {
		t.personality = p
		out[p] = &t
	}
	return out
})

// bootTargets returns the usual targets without some.
func bootTargets(without ...string) []string {
	return slices.DeleteFunc([]string{"None", "Pxe", "Hdd", "Cd", "BiosSetup", "UefiHttp"}, func(t string) bool { return slices.Contains(without, t) })
}

// oneController is the storage of most: a RAID controller with all disks.
func oneController(id, model string) func(*Spec) {
	return func(s *Spec) {
		if s.Controllers == nil {
			c := DefaultController()
			c.ID, c.Model = id, model
			s.Controllers = []Controller{c}
		}
	}
}
