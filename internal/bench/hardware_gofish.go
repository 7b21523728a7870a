package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/schemas"
)

// virtualization are the attributes that the BIOS set Virtualization means on a simulated server.
var virtualization = map[string]any{"ProcVirtualization": "Enabled", "IommuSupport": "Enabled", "SriovGlobalEnable": "Enabled"}

// plainGofish is the program that one writes with gofish alone. It knows what ours finds out: the
// names of the attributes, that the values are allowed, that no job is in the way, how the BMC
// shows the end of POST. It verifies no certificate.
type plainGofish struct {
	poll   time.Duration
	expand bool // gofish's AutoExpand
}

func (p plainGofish) configure(ctx context.Context, _, url string) (err error) {
	api, err := gofish.ConnectContext(ctx, gofish.ClientConfig{Endpoint: url, Username: bmcUser, Password: bmcPassword, Insecure: true, ReuseConnections: true, AutoExpand: p.expand})
	if err != nil {
		return err
	}
	defer api.Logout()
	systems, err := api.Service.Systems()
	if err != nil || len(systems) != 1 {
		return errors.Join(err, fmt.Errorf("%d systems", len(systems)))
	}
	system := systems[0]
	bios, err := system.Bios()
	if err != nil {
		return err
	}
	if err := plainInventory(api, system); err != nil {
		return err
	}
	err = system.SetBoot(&schemas.Boot{BootSourceOverrideTarget: schemas.PxeBootSource, BootSourceOverrideEnabled: schemas.ContinuousBootSourceOverrideEnabled})
	if err != nil {
		return err
	}
	if err := bios.UpdateBiosAttributesApplyAt(virtualization, schemas.OnResetSettingsApplyTime); err != nil {
		return err
	}
	before := system.LastResetTime
	// Its ETag is another one since SetBoot.
	if system, err = schemas.GetComputerSystem(api, system.ODataID); err != nil {
		return err
	}
	if _, err := system.Reset(schemas.ForceRestartResetType); err != nil {
		return err
	}
	for system.LastResetTime == before || system.BootProgress.LastState != schemas.OSBootStartedBootProgressTypes {
		select {
		case <-time.After(p.poll):
		case <-ctx.Done():
			return ctx.Err()
		}
		if system, err = schemas.GetComputerSystem(api, system.ODataID); err != nil {
			return err
		}
	}
	if bios, err = system.Bios(); err != nil {
		return err
	}
	for name, value := range virtualization {
		if bios.Attributes[name] != value {
			return fmt.Errorf("%s is %v", name, bios.Attributes[name])
		}
	}
	if system.Boot.BootSourceOverrideTarget != schemas.PxeBootSource {
		return fmt.Errorf("boots from %s", system.Boot.BootSourceOverrideTarget)
	}
	return nil
}

func (plainGofish) close() error { return nil }

func newPlainGofish(poll time.Duration) (configurer, error) { return plainGofish{poll: poll}, nil }

func newExpandingGofish(poll time.Duration) (configurer, error) {
	return plainGofish{poll: poll, expand: true}, nil
}

// plainInventory reads what our Observe reads.
func plainInventory(api *gofish.APIClient, system *schemas.ComputerSystem) error {
	_, err := api.Service.Managers()
	if err != nil {
		return err
	}
	tasks, err := api.Service.Tasks()
	if err != nil {
		return err
	}
	if _, err := tasks.Tasks(); err != nil {
		return err
	}
	interfaces, err := system.EthernetInterfaces()
	if err != nil {
		return err
	}
	drives := 0
	storage, err := system.Storage()
	if err != nil {
		return err
	}
	for _, s := range storage {
		all, err := s.Drives()
		if err != nil {
			return err
		}
		drives += len(all)
		if _, err := s.Volumes(); err != nil {
			return err
		}
	}
	if _, err := system.BootOptions(); err != nil {
		return err
	}
	if _, err := system.SecureBoot(); err != nil {
		return err
	}
	if len(interfaces) != 2 || drives != 4 {
		return fmt.Errorf("%d network ports and %d drives", len(interfaces), drives)
	}
	return nil
}
