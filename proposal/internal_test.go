package proposal

import (
	"hash/maphash"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Marked returns the document with secrets at the pointers, for tests of what then is not shown.
func Marked(d *Document, pointers ...string) *Document {
	values := make(map[int]bool)
	places := finder{tree: &d.tree}
	for _, pointer := range pointers {
		if i := places.find(pointer); i >= 0 {
			values[i] = true
		}
	}
	return d.marked(values)
}

// CompareWithin is Compare with hardly any room for paths.
func CompareWithin(a, b *Document, spare int) (*Diff, error) { return compareWithin(a, b, spare) }

// MergeWithin is Merge with hardly any room for paths.
func MergeWithin(base, ours, theirs *Document, o *MergeOptions, spare int) (*Document, error) {
	return mergeWithin(base, ours, theirs, o, spare)
}

// Splices tells how With goes about edits that do not touch: in how many containers it searched
// child by child, and in how many runs the spans are that it made sure of.
func Splices(t require.TestingT, d *Document, edits []Edit) (scanned, runs int) {
	p := newSplicer(&d.tree)
	for _, e := range edits {
		before := len(p.siblings)
		s, err := p.splice(e)
		require.NoError(t, err)
		require.False(t, p.touch(s))
		p.add(s)
		scanned += len(p.siblings) - before
		runs = max(runs, len(p.guarded))
	}
	for i, s := range p.siblings {
		require.NotNil(t, s, "container %d", i)
	}
	return scanned, runs
}

// No two spans of edits overlap, in whatever order they are asked for.
func TestSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s spans
		var all []span
		for range rapid.IntRange(1, 60).Draw(t, "spans") {
			from := rapid.Uint32Range(0, 300).Draw(t, "from")
			one := span{from, from + rapid.Uint32Range(1, 9).Draw(t, "length")}
			overlaps := slices.ContainsFunc(all, func(o span) bool { return one.from < o.to && o.from < one.to })
			require.Equal(t, overlaps, s.overlap(one))
			if !overlaps {
				s.add(one)
				all = append(all, one)
			}
		}
		for n := 1; n < len(s); n++ {
			require.Greater(t, len(s[n-1]), 2*len(s[n]))
		}
	})
}

// Up to maxEdits the alignment is a longest common subsequence, else at least a common one.
func TestAlign(t *testing.T) {
	lists := rapid.SliceOfN(rapid.Uint64Range(0, 5), 0, 40)
	rapid.Check(t, func(t *rapid.T) {
		a, b := lists.Draw(t, "a"), lists.Draw(t, "b")
		pairs := align(a, b)
		require.Len(t, pairs, commonLength(a, b))
		requireCommon(t, a, b, pairs)
		requireCommon(t, a, b, sameMention(a, b))
	})
}

func requireCommon(t require.TestingT, a, b []uint64, pairs [][2]int) {
	last := [2]int{-1, -1}
	for _, p := range pairs {
		require.Greater(t, p[0], last[0])
		require.Greater(t, p[1], last[1])
		require.Equal(t, a[p[0]], b[p[1]])
		last = p
	}
}

// commonLength is the textbook's length of a longest common subsequence.
func commonLength(a, b []uint64) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

func TestValuesAreHashedOnce(t *testing.T) {
	d, err := Parse([]byte(`{"id":"bc-nova-x","attributes":{"nova":{"l":[[1]]}},"deployment":{"nova":{}}}`))
	require.NoError(t, err)
	h := hasher{Document: d, seed: maphash.MakeSeed()}
	list := d.member(d.attributes, "l")
	sum := h.sum(list)
	require.Equal(t, h.sums[list], sum)
	h.sums[list+1] = 42
	h.sums[list] = 0
	require.NotEqual(t, sum, h.sum(list), "what is known of the inner list counts")
}
