package crowbar_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOnlyTheWritersWrite: no code but writers.go calls Txn of a Store, in the whole module.
// Stores themselves, and those that wrap one, are what is called.
func TestOnlyTheWritersWrite(t *testing.T) {
	calls := map[string]int{}
	root := ".."
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasSuffix(rel, "crowbartest") {
			// The conformance suite of Stores calls what it tests; its one wrapper is looked at below.
			return countTxn(filepath.Join(path, "fault.go"), "crowbar/crowbartest/fault.go", calls, fs.SkipDir)
		}
		if d.IsDir() || !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		return countTxn(path, filepath.ToSlash(rel), calls, nil)
	}))
	require.Equal(t, map[string]int{
		"crowbar/writers.go":           1,
		"crowbar/crowbartest/fault.go": 2, // passes on to the Store it wraps
	}, calls, "records are written by the typed writers only")
}

func countTxn(path, name string, calls map[string]int, done error) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Txn" {
			calls[name]++
		}
		return true
	})
	return done
}
