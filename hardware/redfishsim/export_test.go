package redfishsim

// RequestVolume and RequestDelete are what the BMC does for POST and DELETE.
func RequestVolume(m *Machine, v Volume) (id, job string, err error) { return m.requestVolume(v) }

// RequestDelete is documented with RequestVolume.
func RequestDelete(m *Machine, id string) (job string, err error) { return m.requestDelete(id) }
