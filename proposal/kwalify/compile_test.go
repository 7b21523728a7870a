package kwalify_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/proposal/kwalify"
)

func TestCompiledRealSchemas(t *testing.T) {
	realSchemas(t, func(t *testing.T, name, schema string, document []byte) {
		s, err := kwalify.Compile([]byte(schema))
		require.NoError(t, err)
		d, err := proposal.Parse(document)
		require.NoError(t, err)
		require.NoError(t, proposal.Validate(d, s))

		wrong, err := d.With(proposal.Edit{Pointer: "/deployment/" + d.Barclamp() + "/crowbar-revision", Value: []byte("1.0")})
		require.NoError(t, err)
		var problems *proposal.ValidationError
		require.ErrorAs(t, s.Check(wrong), &problems)
		require.Len(t, problems.Problems, 1)
		require.Equal(t, "/deployment/"+d.Barclamp()+"/crowbar-revision", problems.Problems[0].Path)
		require.Contains(t, problems.Problems[0].String(), "expected an integer without point or exponent")
	})
}

func TestCompileMarksPasswords(t *testing.T) {
	s, err := kwalify.Compile([]byte(`{ type: map, mapping: { = : { type: any }, attributes: { type: map, mapping: {
		nova: { type: map, mapping: { service_password: { type: str }, service_user: { type: str } } } } } } }`))
	require.NoError(t, err)
	d, err := proposal.Parse([]byte(`{"id":"nova-default","description":"","attributes":{"nova":{"service_user":"nova","service_password":"x"}},"deployment":{"nova":{}}}`))
	require.NoError(t, err)
	require.Equal(t, []string{"/attributes/nova/service_password"}, s.MarkSecrets(d).Secrets())
}

func TestCompileFailsAsTranslate(t *testing.T) {
	_, err := kwalify.Compile([]byte(`{ type: string }`))
	require.ErrorIs(t, err, kwalify.ErrSchema)
}
