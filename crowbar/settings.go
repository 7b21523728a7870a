package crowbar

import (
	"context"
	"encoding/json"
	"fmt"
)

// ReadSettings reads the settings of a store, before an engine opens it. ErrNotFound: the
// store is new.
func ReadSettings(ctx context.Context, s Store) (*Settings, error) {
	record, err := s.Get(ctx, settingsKey)
	if err != nil {
		return nil, fmt.Errorf("crowbar: settings: %w", err)
	}
	var settings Settings
	if err := json.Unmarshal(record.Value, &settings); err != nil {
		return nil, fmt.Errorf("crowbar: record %s: %w", settingsKey, err)
	}
	return &settings, nil
}
