package proposal_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal"
)

func numbers(n int, of func(i int) int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint(of(i))
	}
	return list
}

func listDocument(t require.TestingT, elements []string) *proposal.Document {
	return parse(t, document(`{"l":[`+strings.Join(elements, ",")+`]}`, ""))
}

// An edited long list costs as many operations as it was edited, whether its elements are
// unique or repeat.
func TestPatchOfALongList(t *testing.T) {
	for name, of := range map[string]func(int) int{
		"unique":    func(i int) int { return i },
		"few":       func(i int) int { return i * i % 7 },
		"two kinds": func(i int) int { return i * 2654435761 >> 13 & 1 },
		"all alike": func(int) int { return 1 },
	} {
		t.Run(name, func(t *testing.T) {
			old := numbers(10_000, of)
			now := slices.Insert(slices.Delete(slices.Clone(old), 5_000, 5_001), 0, "-1")
			now[len(now)-1] = "-2"
			a, b := listDocument(t, old), listDocument(t, now)
			require.LessOrEqual(t, len(compare(t, a, b).Changes), 4)
			checkDiff(t, a, b)
			checkDiff(t, b, a)
		})
	}
}

// Changed elements cost nothing to align, and neither does a block that moved far.
func TestPatchOfMuchChangedLists(t *testing.T) {
	old := numbers(10_000, func(i int) int { return i })
	now := slices.Clone(old)
	for i := 0; i < len(now); i += 5 {
		now[i] = fmt.Sprint(-i - 1)
	}
	require.Len(t, compare(t, listDocument(t, old), listDocument(t, now)).Changes, 2_000)

	// Nor where the others repeat, and no element tells where one is.
	old = numbers(10_000, func(i int) int { return i * 2654435761 >> 13 & 1 })
	now = slices.Clone(old)
	for i := 0; i < len(now); i += 50 {
		now[i] = fmt.Sprint(-i - 1)
	}
	now = append([]string{"1", "0", "0"}, now...)
	require.LessOrEqual(t, len(compare(t, listDocument(t, old), listDocument(t, now)).Changes), 2*200+3)

	old = numbers(10_000, func(i int) int { return i })
	moved := slices.Concat(old[3_000:], old[:3_000])
	require.Len(t, compare(t, listDocument(t, old), listDocument(t, moved)).Changes, 6_000)
	checkDiff(t, listDocument(t, old), listDocument(t, moved))
}

// No list costs more than some multiple of its length: an aligner that is not bounded takes
// the square of it for these.
func TestHostileListsAreBounded(t *testing.T) {
	const length = 200_000
	twoKinds := func(factor int) []string {
		return numbers(length, func(i int) int { return i * factor >> 13 & 1 })
	}
	unique := numbers(length, func(i int) int { return i })
	reversed := slices.Clone(unique)
	slices.Reverse(reversed)
	for name, lists := range map[string][2][]string{
		"random bits": {twoKinds(2654435761), twoKinds(2246822519)},
		"reversed":    {unique, reversed},
		"periods":     {numbers(length, func(i int) int { return i % 2 }), numbers(length, func(i int) int { return i % 3 })},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := listDocument(t, lists[0]), listDocument(t, lists[1])
			require.Less(t, allocated(func() { compare(t, a, b) }), uint64(10_000*length))
		})
	}
}

// Lists within lists are hashed once, not at every depth.
func TestDeepListsAreLinear(t *testing.T) {
	deep := func(leaf string) *proposal.Document {
		wide := strings.Repeat(`"x" ,`, 20_000)
		return parse(t, document(`{"l":`+strings.Repeat("[1,", 200)+"["+wide+leaf+"]"+strings.Repeat("]", 200)+`}`, ""))
	}
	a, b := deep("1"), deep(`"\u0078"`)
	require.Less(t, allocated(func() { require.Len(t, compare(t, a, b).Changes, 1) }), uint64(50*len(a.Bytes())))
}

// allocated is how many bytes f takes from the heap, given back or not: what it costs, told
// without a clock.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
