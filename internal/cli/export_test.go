package cli

import "github.com/crowbarkit/crowbarkit/proposal"

// Command is how the demo says that the program is run again.
var Command = command

// MarkedAndBack marks a problem at a place of an edited text, and takes the marks away again.
func MarkedAndBack(text, path string, line int) (marks, back string) {
	place := complaint{path: path, line: line, column: line, text: "wrong"}
	marks = marked(text, []complaint{{path: path, text: "wrong, too"}, place})
	return marks, unmarked(marks)
}

// Unmarked and Body are what is read of an edited text.
var (
	Unmarked = unmarked
	Body     = body
)

// Place is where a problem is in the text of a whole document.
func Place(text, pointer string) (line, column int) {
	c := buffer{whole: true}.place(text, proposal.Problem{Path: pointer})
	return c.line, c.column
}

// ParseSize and VolumeSize are how sizes of volumes are read and shown.
var (
	ParseSize  = parseSize
	VolumeSize = volumeSize
)
