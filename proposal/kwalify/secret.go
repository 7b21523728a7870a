package kwalify

import (
	"slices"
	"strings"
)

// kwalify marks no secrets, and Crowbar kept passwords in clear text beside everything else. A
// str (or text) under one of these keys becomes "writeOnly": true; - counts as _.
var (
	secretNames = []string{"password", "passwd", "passphrase", "secret", "token", "secret_key", "private_key",
		"cluster_hash", "cluster_admin_pw", "keymgr_fixed_key", "designate_rndc_key"}
	secretEndings = []string{"_password", "_passwd", "_passphrase", "_password_hash", "_secret", "_token", "_secret_key"}
)

// secretName says whether a key's name tells a secret. It errs on the side of too few: a name is
// a secret as a whole or by its ending (secret_uuid, token_format, ssl_key_file are none).
func secretName(key string) bool {
	key = strings.ReplaceAll(strings.ToLower(key), "-", "_")
	return slices.Contains(secretNames, key) ||
		slices.ContainsFunc(secretEndings, func(ending string) bool { return strings.HasSuffix(key, ending) })
}
