package hardware_test

import (
	"errors"
	"fmt"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// Planning needs a snapshot only, so it can be done offline and reviewed.
func ExampleNewPlan() {
	seen := snapshot(4, volume("Disk.Virtual.1", hardware.RAID5, 0, 1, 2))
	profile, err := hardware.ParseProfile([]byte(`{"bios":{"set":"Virtualization"},"raid":{"set":"SingleRaid10"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := hardware.NewPlan(profile, seen)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, op := range plan.Operations {
		fmt.Println(op.Action, op.Target, "reboot:", op.Reboot, "destroys:", op.Destroys)
	}
	fmt.Println("reboots:", plan.Reboots(), "destroys:", plan.Destroys())
	// Output:
	// delete_volume RAID.1/Disk.Virtual.1 reboot: false destroys: [S0 S1 S2]
	// create_volume RAID.1/system reboot: false destroys: [S0 S1 S2 S3]
	// set ProcVirtualization reboot: true destroys: []
	// set SriovGlobalEnable reboot: true destroys: []
	// reboots: 1 destroys: [S0 S1 S2 S3]
}

func ExamplePlan_Text() {
	seen := snapshot(2)
	raid, err := hardware.RAIDSet("SingleRaid1")
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := hardware.NewPlan(hardware.Profile{RAID: raid}, seen)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(plan.Text())
	// Output:
	// COMPONENT  ACTION         TARGET         BEFORE  AFTER           REBOOT  REASON
	// raid       create_volume  RAID.1/system  -       RAID1 on S0 S1  no      no RAID1 volume of 2 disks there
	// 1 operation, 0 reboots, DESTROYS all data on S0, S1
}

// What would be refused after hours, or silently undone at the next boot, is told at once.
func ExampleNewPlan_dependencies() {
	profile, err := hardware.ParseProfile([]byte(`{"bios":{"attributes":{"HwPrefetcher":"Disabled","ProcTurbo":"Enabled"}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = hardware.NewPlan(profile, proliant())
	var problem hardware.Problem
	if errors.As(err, &problem) {
		fmt.Println(problem.Path)
		fmt.Println(problem.Hint)
	}
	// Output:
	// /bios/attributes/HwPrefetcher
	// HwPrefetcher is read-only while WorkloadProfile is I/OThroughput; set WorkloadProfile to another value too
}

// After a crash the plan goes on where the machine is.
func ExamplePlan_Remaining() {
	raid := &hardware.RAIDProfile{Volumes: []hardware.VolumeProfile{{Name: "data", RAIDLevel: hardware.RAID5, DiskCount: 3, Spares: 1}}}
	plan, err := hardware.NewPlan(hardware.Profile{RAID: raid}, snapshot(4, volume("old", hardware.RAID0, 0, 1)))
	if err != nil {
		fmt.Println(err)
		return
	}
	left, err := plan.Remaining(snapshot(4)) // the old volume is gone
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(plan.Operations), "planned,", len(left.Operations), "left:", left.Operations[0].After)
	// Output:
	// 2 planned, 1 left: RAID5 on S0 S1 S2, spare S3
}

func ExampleParseProfile() {
	_, err := hardware.ParseProfile([]byte(`{"bios":{"intents":{"smt":"maybe"}},"raid":{"set":"Best"}}`))
	fmt.Println(err)
	// Output:
	// hardware: invalid profile, 2 problems:
	// 	/bios/intents/smt: found "maybe", expected on or off
	// 	/raid/set: found "Best", expected JBODOnly, R1_JBOD, SingleRaid0, SingleRaid1, SingleRaid10
}
