package proposal

import "slices"

// align returns ascending pairs of equal elements, as long a common subsequence as can be had
// at a bounded price: the longest if at most maxEdits elements are to be removed and added for
// it, else the longest in which the nth mention of an element in a is the nth in b (which is
// the longest, too, where nothing is mentioned twice).
func align(a, b []uint64) [][2]int {
	// Without counterpart an element is in no common subsequence: what was merely changed or
	// added costs no search.
	left, right := common(a, b), common(b, a)
	x, y := only(a, left), only(b, right)
	pairs, ok := shortestEdit(x, y)
	if !ok {
		pairs = sameMention(x, y)
	}
	for n, p := range pairs {
		pairs[n] = [2]int{left[p[0]], right[p[1]]}
	}
	return pairs
}

// common returns where list has elements that other has, too.
func common(list, other []uint64) []int {
	there := make(map[uint64]struct{}, len(other))
	for _, e := range other {
		there[e] = struct{}{}
	}
	var indexes []int
	for n, e := range list {
		if _, ok := there[e]; ok {
			indexes = append(indexes, n)
		}
	}
	return indexes
}

func only(list []uint64, indexes []int) []uint64 {
	elements := make([]uint64, len(indexes))
	for n, i := range indexes {
		elements[n] = list[i]
	}
	return elements
}

// maxEdits bounds the memory of shortestEdit (to 300 KB) and its time, to so many looks at each
// element.
const maxEdits = 256

// shortestEdit is Myers' greedy algorithm ("An O(ND) Difference Algorithm", 1986). It gives up
// (false) beyond maxEdits edits.
func shortestEdit(a, b []uint64) ([][2]int, bool) {
	const zero = maxEdits + 1        // where diagonal 0 lies
	var reach [2*zero + 1]int32      // on diagonal x-y: the furthest x
	var rounds [maxEdits + 1][]int32 // reach after each number of edits, of diagonals -d to d
	step := func(d, k int, reach func(k int) int32) (x int, down bool) {
		if k == -d || k != d && reach(k-1) < reach(k+1) {
			return int(reach(k + 1)), true // adds b[y]
		}
		return int(reach(k-1)) + 1, false // removes a[x]
	}
	now := func(k int) int32 { return reach[zero+k] }
	for d := 0; d <= maxEdits; d++ {
		for k := -d; k <= d; k += 2 {
			x := 0
			if d > 0 {
				x, _ = step(d, k, now)
			}
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			reach[zero+k] = int32(x)
			if x < len(a) || x-k < len(b) {
				continue
			}
			// The end is reached: walk back.
			var pairs [][2]int
			for ; d >= 0; d-- {
				start, down := 0, false
				if d > 0 {
					last := rounds[d-1]
					start, down = step(d, k, func(k int) int32 { return last[k+d-1] })
				}
				for x > start {
					x--
					pairs = append(pairs, [2]int{x, x - k})
				}
				if down {
					k++
				} else {
					x, k = x-1, k-1
				}
			}
			slices.Reverse(pairs)
			return pairs, true
		}
		rounds[d] = slices.Clone(reach[zero-d : zero+d+1])
	}
	return nil, false
}

// sameMention pairs the nth mention of an element in a with the nth in b and keeps of the pairs
// the longest sequence that ascends in both.
func sameMention(a, b []uint64) [][2]int {
	mentions := make(map[uint64][]int, len(b))
	for y, e := range b {
		mentions[e] = append(mentions[e], y)
	}
	type link struct {
		pair   [2]int
		before int // link; -1: none
	}
	var links []link
	var ends []int // of the sequences of each length: the link with the least y
	for x, e := range a {
		ys := mentions[e]
		if len(ys) == 0 {
			continue
		}
		y := ys[0]
		mentions[e] = ys[1:]
		length, _ := slices.BinarySearchFunc(ends, y, func(end, y int) int { return links[end].pair[1] - y })
		before := -1
		if length > 0 {
			before = ends[length-1]
		}
		links = append(links, link{[2]int{x, y}, before})
		if length == len(ends) {
			ends = append(ends, 0)
		}
		ends[length] = len(links) - 1
	}
	pairs := make([][2]int, len(ends))
	if len(ends) > 0 {
		for n, at := len(ends)-1, ends[len(ends)-1]; at >= 0; n, at = n-1, links[at].before {
			pairs[n] = links[at].pair
		}
	}
	return pairs
}
