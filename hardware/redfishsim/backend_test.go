package redfishsim_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// process is a machine that is a process: power is whether it runs.
type process struct {
	mu     sync.Mutex
	cmd    *exec.Cmd
	ended  chan struct{}
	boots  []redfishsim.Boot
	broken error
}

func (p *process) Start(_ context.Context, b redfishsim.Boot) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return p.broken
	}
	p.boots = append(p.boots, b)
	cmd, ended := exec.Command("sleep", "3600"), make(chan struct{})
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.ended = cmd, ended
	go func() { defer close(ended); _ = cmd.Wait() }()
	return nil
}

func (p *process) signal(s syscall.Signal) (ended chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended, p.cmd.Process.Signal(s)
}

func (p *process) Stop(ctx context.Context) error {
	ended, err := p.signal(syscall.SIGKILL)
	if err != nil {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *process) Shutdown(context.Context) error { _, err := p.signal(syscall.SIGTERM); return err }

func (p *process) Running(context.Context) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return false, nil
	}
	select {
	case <-p.ended:
		return false, nil
	default:
		return true, nil
	}
}

var _ redfishsim.PowerBackend = (*process)(nil)

// A machine with a real thing behind it does what that does, and tells of its errors.
func TestPowerBackend(t *testing.T) {
	p := &process{}
	m, err := redfishsim.NewMachine(redfishsim.Spec{Name: "n1", Times: redfishsim.Times{POST: time.Nanosecond}, NICs: []redfishsim.NIC{{Name: "eth0", MAC: "52:54:00:00:00:01"}}},
		&redfishsim.Options{Backend: p})
	require.NoError(t, err)
	b, err := redfishsim.NewBMC(redfishsim.Config{Machine: m, Username: "root", Password: "secret"})
	require.NoError(t, err)
	reset := func(kind string, want int) {
		t.Helper()
		w, _ := ask(t, b, http.MethodPost, "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset", `{"ResetType":"`+kind+`"}`)
		require.Equal(t, want, w.Code, w.Body.String())
	}
	power := func() any {
		_, doc := ask(t, b, http.MethodGet, "/redfish/v1/Systems/1", "")
		return doc["PowerState"]
	}
	require.Equal(t, "Off", power())
	require.NoError(t, m.SetBoot("Pxe", "Once"))
	reset("On", 204)
	require.Equal(t, "On", power())
	require.Len(t, p.boots, 1)
	require.Equal(t, "Pxe", p.boots[0].Target)
	require.Equal(t, "UEFI", p.boots[0].Mode)
	require.Equal(t, "eth0", p.boots[0].Order[0].NIC)
	reset("On", 204)
	require.Len(t, p.boots, 1, "it runs already")
	first := p.cmd.Process.Pid
	reset("ForceRestart", 204)
	require.Len(t, p.boots, 2)
	require.NotEqual(t, first, p.cmd.Process.Pid)
	require.Empty(t, p.boots[1].Target, "the override was for once")
	require.Equal(t, 2, m.State().Boots)
	reset("GracefulShutdown", 204)
	<-p.ended
	require.Equal(t, "Off", power())
	reset("On", 204)

	require.NoError(t, p.Stop(t.Context())) // behind the BMC's back
	require.Equal(t, "Off", power(), "the model follows")
	require.NoError(t, p.Start(t.Context(), redfishsim.Boot{}))
	require.Equal(t, "On", power())
	reset("ForceOff", 204)
	require.Equal(t, "Off", power())

	p.broken = errors.New("no such image")
	w, doc := ask(t, b, http.MethodPost, "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset", `{"ResetType":"On"}`)
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, doc["error"].(map[string]any)["message"], "no such image")
	require.Equal(t, "Off", power())
	err = m.Reset(redfishsim.ResetOn)
	require.ErrorIs(t, err, redfishsim.ErrBackend)
	require.ErrorIs(t, err, p.broken)
	reset("Melt", 400)
}

// What a machine does in Redfish, a process does for real.
func ExamplePowerBackend() {
	p := &process{} // runs sleep; a virtual machine under QEMU is done in the same way
	m, err := redfishsim.NewMachine(redfishsim.Spec{Name: "vm1"}, &redfishsim.Options{Backend: p})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, press := range []redfishsim.ResetType{redfishsim.ResetOn, redfishsim.ResetForceOff} {
		err := m.ResetContext(context.Background(), press)
		runs, _ := p.Running(context.Background())
		fmt.Println(press, err, runs, m.State().Power)
	}
	// Output:
	// On <nil> true post
	// ForceOff <nil> false off
}
