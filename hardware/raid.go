package hardware

import "fmt"

// RAIDLevel is how a volume spreads over its disks, spelled as Redfish's RAIDType.
type RAIDLevel string

// RAID levels. JBOD means no volume at all: the disks are left to the operating system.
const (
	JBOD   RAIDLevel = "JBOD"
	RAID0  RAIDLevel = "RAID0"
	RAID1  RAIDLevel = "RAID1"
	RAID5  RAIDLevel = "RAID5"
	RAID6  RAIDLevel = "RAID6"
	RAID10 RAIDLevel = "RAID10"
	RAID50 RAIDLevel = "RAID50" // two spans of RAID5
	RAID60 RAIDLevel = "RAID60" // two spans of RAID6
)

// RAIDLevels returns all levels.
func RAIDLevels() []RAIDLevel {
	return []RAIDLevel{JBOD, RAID0, RAID1, RAID5, RAID6, RAID10, RAID50, RAID60}
}

// Valid reports whether l is one of RAIDLevels.
func (l RAIDLevel) Valid() bool { return l.MinDisks() > 0 }

// MinDisks is the least number of disks, 0 for an unknown level.
func (l RAIDLevel) MinDisks() int {
	switch l {
	case JBOD, RAID0:
		return 1
	case RAID1:
		return 2
	case RAID5:
		return 3
	case RAID6, RAID10:
		return 4
	case RAID50:
		return 6
	case RAID60:
		return 8
	}
	return 0
}

// redundant levels survive the loss of a disk.
func (l RAIDLevel) redundant() bool { return l.Valid() && l != JBOD && l != RAID0 }

// Fit returns how many of n disks a volume of this level uses at most: 2 for RAID1, an even
// number for RAID10, 50 and 60, otherwise all; 0 if n are too few.
func (l RAIDLevel) Fit(n int) int {
	switch {
	case !l.Valid() || n < l.MinDisks():
		return 0
	case l == RAID1:
		return 2
	case l == RAID10 || l == RAID50 || l == RAID60:
		return n - n%2
	}
	return n
}

// Usable returns the bytes that a volume of this level offers on disks of the given sizes:
// every disk counts as the smallest. The number of disks must be one that Fit returns; JBOD
// makes no volume and has none.
func (l RAIDLevel) Usable(sizes []int64) (int64, error) {
	n := len(sizes)
	if l == JBOD || l.Fit(n) != n || n == 0 {
		return 0, fmt.Errorf("%w: no %s volume of %d disks", ErrInvalid, l, n)
	}
	smallest := sizes[0]
	for _, s := range sizes {
		smallest = min(smallest, s)
	}
	return int64(l.dataDisks(n)) * smallest, nil
}

// dataDisks is how many disks' worth of data n disks hold.
func (l RAIDLevel) dataDisks(n int) int {
	switch l {
	case RAID1:
		return 1
	case RAID5:
		return n - 1
	case RAID6, RAID50:
		return n - 2
	case RAID10:
		return n / 2
	case RAID60:
		return n - 4
	}
	return n
}
