package redfish_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// tasked is a service that makes volumes by a task, and answers for its monitor one reply after
// the other, the last again and again.
type tasked struct {
	mu       sync.Mutex
	monitor  []string // "status body"
	made     bool     // by the last reply
	posts    int
	location string
}

func (s *tasked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/V":
		s.posts++
		w.Header().Set("Location", s.location)
		w.WriteHeader(http.StatusAccepted)
		return
	case r.URL.Path == "/T":
		var status int
		reply := s.monitor[0]
		if len(s.monitor) > 1 {
			s.monitor = s.monitor[1:]
		} else {
			s.made = true
		}
		_, _ = fmt.Sscanf(reply, "%d", &status)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, reply[3:])
		return
	}
	volumes := ``
	if s.made {
		volumes = `{"@odata.id":"/V/1","Id":"1","Name":"system","RAIDType":"RAID1","Links":{"Drives":[{"@odata.id":"/D/1"},{"@odata.id":"/D/2"}]}}`
	}
	body, ok := map[string]string{
		"/redfish/v1/":        `{"Systems":{"@odata.id":"/redfish/v1/Systems"}}`,
		"/redfish/v1/Systems": `{"Members":[{"@odata.id":"/sys"}]}`,
		"/sys":                `{"Storage":{"@odata.id":"/S"},"PowerState":"On"}`,
		"/S":                  `{"Members":[{"@odata.id":"/S/1"}]}`,
		"/S/1":                `{"Id":"1","Drives":[{"@odata.id":"/D/1"},{"@odata.id":"/D/2"}],"Volumes":{"@odata.id":"/V"}}`,
		"/D/1":                `{"@odata.id":"/D/1","Id":"1","SerialNumber":"S1","CapacityBytes":100}`,
		"/D/2":                `{"@odata.id":"/D/2","Id":"2","SerialNumber":"S2","CapacityBytes":100}`,
		"/V":                  `{"Members":[` + volumes + `]}`,
	}[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
	}
	_, _ = io.WriteString(w, body)
}

func (s *tasked) apply(t *testing.T) (*hardware.Result, error) {
	t.Helper()
	if s.location == "" {
		s.location = "/T"
	}
	c, err := redfish.New(redfish.Config{Transport: redfishsim.Transport(func(string) http.Handler { return s })})
	require.NoError(t, err)
	target := hardware.Target{Node: "node1", URL: "http://bmc"}
	seen, err := c.Observe(t.Context(), target)
	require.NoError(t, err)
	plan, err := hardware.NewPlan(hardware.Profile{RAID: &hardware.RAIDProfile{Set: "SingleRaid1"}}, seen)
	require.NoError(t, err)
	res, err := c.Apply(t.Context(), target, plan, &hardware.ApplyOptions{Authorize: allow})
	require.Equal(t, 1, s.posts)
	return res, err
}

func TestTaskIsFollowed(t *testing.T) {
	for name, monitor := range map[string][]string{
		"monitor answers 202, then with the result":  {`202`, `202{}`, `201{"Id":"1"}`},
		"monitor answers without a body":             {`202`, `204`},
		"a task":                                     {`200{"TaskState":"New"}`, `200{"TaskState":"Running","PercentComplete":50}`, `200{"TaskState":"Completed","TaskStatus":"OK"}`},
		"a job":                                      {`200{"JobState":"Running"}`, `200{"JobState":"Completed"}`},
		"a task that vanishes":                       {`202`, `404`},
		"a BMC that restarts in between":             {`202`, `503`, `503`, `200{"TaskState":"Completed"}`},
		"a Dell task, whose job says more":           {`200{"TaskState":"Completed","Oem":{"Dell":{"JobState":"Running"}}}`, `200{"TaskState":"Completed","Oem":{"Dell":{"JobState":"Completed"}}}`},
		"a state that is not in the standard":        {`200{"TaskState":"Downloading"}`, `200{"TaskState":"Completed"}`},
		"whole URLs for locations are links as well": {`200{"TaskState":"Completed"}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tasked{monitor: monitor}
				if len(monitor) == 1 {
					s.location = "http://other-name/T"
				}
				res, err := s.apply(t)
				require.NoError(t, err)
				require.Len(t, res.Done, 1)
			})
		})
	}
}

func TestTaskThatFails(t *testing.T) {
	for name, monitor := range map[string][]string{
		"a task":        {`202`, `200{"TaskState":"Exception","Messages":[{"Message":"started"},{"Message":"disk S2 is foreign"}]}`},
		"a Dell job":    {`200{"TaskState":"Completed","Oem":{"Dell":{"JobState":"Failed","Message":"disk S2 is foreign"}}}`},
		"with a status": {`202`, `400{"error":{"message":"disk S2 is foreign"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := (&tasked{monitor: monitor}).apply(t)
				require.ErrorIs(t, err, hardware.ErrRejected)
				require.ErrorContains(t, err, "disk S2 is foreign")
			})
		})
	}
}

// A task that never ends is given up in time, and said to be what is waited for.
func TestTaskThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := (&tasked{monitor: []string{`200{"TaskState":"Running"}`}}).apply(t)
		require.ErrorIs(t, err, hardware.ErrNotConverged)
		require.ErrorContains(t, err, "task T")
		require.Less(t, time.Since(start), time.Hour)
	})
}

// A task may queue for a while. That costs no reset that was not planned.
func TestTaskThatQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tasked{}
		for _, state := range append(slices.Repeat([]string{"New"}, 20), "Pending", "Pending", "Running", "Completed") {
			s.monitor = append(s.monitor, `200{"TaskState":"`+state+`"}`)
		}
		res, err := s.apply(t)
		require.NoError(t, err)
		require.Zero(t, res.Reboots)
	})
}
