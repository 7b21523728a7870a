package storage

// Locks is how many volumes and names are remembered as locked or waited for.
func (b *Backend) Locks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.locks)
}
