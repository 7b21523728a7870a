package cli

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// sizesMean is for the help.
const sizesMean = "Sizes have a unit, always a power of two as with Cinder and EqualLogic: 10G, 10GB and 10GiB are\n" +
	"10 x 2^30 bytes, 500M is 500 x 2^20, 1.5T is 1.5 x 2^40. A number alone is bytes, 1048576 or more. Back ends\n" +
	"round up: EqualLogic to GiB, Ceph to MiB."

// sizeFlag is a flag with the size of a volume.
type sizeFlag int64

func (s *sizeFlag) String() string {
	if *s == 0 {
		return ""
	}
	return volumeSize(int64(*s))
}

// Type is what the help shows as the value.
func (*sizeFlag) Type() string { return "SIZE" }

// Set reads the size. A small number alone is what Cinder would take for GiB.
func (s *sizeFlag) Set(text string) error {
	n, err := parseSize(text)
	if _, bare := strconv.ParseUint(text, 10, 64); err == nil && bare == nil && n < 1<<20 {
		err = fmt.Errorf("%s is a number of bytes; give %sG for %s GiB, as Cinder means it", text, text, text)
	}
	*s = sizeFlag(n)
	return err
}

// bytesFlag is a flag with the size of something else, of any number of bytes.
type bytesFlag int64

func (b *bytesFlag) String() string { return (*sizeFlag)(b).String() }

// Type is what the help shows as the value.
func (*bytesFlag) Type() string { return "SIZE" }

// Set reads the size.
func (b *bytesFlag) Set(text string) error {
	n, err := parseSize(text)
	*b = bytesFlag(n)
	return err
}

const binaryUnits = "KMGTP"

var sizePattern = regexp.MustCompile(`(?i)^([0-9]{1,30}(?:\.[0-9]{1,9})?)([` + binaryUnits + `]?)(i?)(b?)$`)

// parseSize reads a size of at least 1 byte.
func parseSize(text string) (int64, error) {
	m := sizePattern.FindStringSubmatch(text)
	if m == nil || m[2] == "" && m[3] != "" {
		return 0, fmt.Errorf("expected a size such as 10G or 10GiB (10 x 2^30 bytes), 500M, 1.5T, or a number of bytes")
	}
	n, _ := new(big.Rat).SetString(m[1])
	n.Mul(n, new(big.Rat).SetInt64(1<<exponent(m[2])))
	switch {
	case !n.IsInt():
		return 0, fmt.Errorf("%s is no whole number of bytes", text)
	case n.Sign() == 0:
		return 0, fmt.Errorf("expected at least 1 byte")
	case !n.Num().IsInt64():
		return 0, fmt.Errorf("%s is more than any back end has", text)
	}
	return n.Num().Int64(), nil
}

// exponent is that of a unit: 10 for K.
func exponent(unit string) int {
	if unit == "" {
		return 0
	}
	return 10 * (1 + strings.Index(binaryUnits, strings.ToUpper(unit)))
}

// exactSize is a size in the largest unit of which it is a whole number.
func exactSize(n int64) string {
	for i := len(binaryUnits); i > 0; i-- {
		if unit := int64(1) << (10 * i); n >= unit && n%unit == 0 {
			return strconv.FormatInt(n/unit, 10) + " " + binaryUnits[i-1:i] + "iB"
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// volumeSize is a size in the largest unit that it fills, with two decimals where it needs them.
func volumeSize(n int64) string {
	if n < 0 {
		return "-" + volumeSize(-n)
	}
	for i := len(binaryUnits); i > 0; i-- {
		unit := int64(1) << (10 * i)
		if n < unit {
			continue
		}
		text := strconv.FormatInt(n/unit, 10)
		if n%unit != 0 {
			text = strings.TrimRight(fmt.Sprintf("%.2f", float64(n)/float64(unit)), "0")
			text = strings.TrimSuffix(text, ".")
		}
		return text + " " + binaryUnits[i-1:i] + "iB"
	}
	return fmt.Sprintf("%d B", n)
}
