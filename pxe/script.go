package pxe

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/hashicorp/go-multierror"
)

var (
	// ErrDecision is what Script returns for a Decision that cannot be sent.
	ErrDecision = errors.New("pxe: decision cannot be sent")
	// ErrScript is what ParseScript returns for a script that boots nothing as it should.
	ErrScript = errors.New("pxe: script")
)

// Script renders d as an iPXE script. iPXE splits lines at spaces and knows no quoting, so
// what would change the meaning of a line is refused, with all problems: ErrDecision.
// LocalNotFound, which a script cannot say, is rendered as LocalExit. ActionIgnore has no
// script.
func Script(d *Decision) (string, error) {
	var b strings.Builder
	b.WriteString("#!ipxe\n")
	if d.Reason != "" {
		b.WriteString("echo crowbar: " + printable(d.Reason) + "\n")
	}
	switch d.Action {
	case ActionLocal:
		switch d.Local {
		case "", LocalExit, LocalNotFound:
			b.WriteString("exit 1\n")
		case LocalSanboot:
			b.WriteString("sanboot --no-describe --drive 0x80 || exit 1\n")
		default:
			return "", fmt.Errorf("%w: local boot %q, expected %q, %q or %q", ErrDecision, d.Local, LocalExit, LocalSanboot, LocalNotFound)
		}
	case ActionBoot:
		if err := writeBoot(&b, d); err != nil {
			return "", fmt.Errorf("%w: %w", ErrDecision, err)
		}
	case ActionScript:
		if !strings.HasPrefix(d.Script, "#!ipxe\n") {
			return "", fmt.Errorf("%w: script %.20q, expected to start with the line #!ipxe", ErrDecision, d.Script)
		}
		return d.Script, nil
	default:
		return "", fmt.Errorf("%w: action %v has no script", ErrDecision, d.Action)
	}
	return b.String(), nil
}

func writeBoot(b *strings.Builder, d *Decision) error {
	var problems *multierror.Error
	check := func(path string, err error) {
		if err != nil {
			problems = multierror.Append(problems, fmt.Errorf("%s: %w", path, err))
		}
	}
	check("/kernel", checkURL(d.Kernel))
	b.WriteString("kernel " + d.Kernel)
	names := map[string]bool{}
	var initrds strings.Builder
	for i, initrd := range d.Initrds {
		path := "/initrds/" + strconv.Itoa(i)
		name := initrdName(initrd, i)
		check(path+"/name", checkName(name))
		if names[name] {
			check(path+"/name", fmt.Errorf("%q is there twice", name))
		}
		names[name] = true
		check(path+"/url", checkURL(initrd.URL))
		// The EFI stub of the kernel finds its initrds by these names.
		b.WriteString(" initrd=" + name)
		initrds.WriteString("initrd --name " + name + " " + initrd.URL + "\n")
	}
	for i, arg := range d.Args {
		path := "/args/" + strconv.Itoa(i)
		check(path, checkWord(arg))
		if strings.HasPrefix(arg, "initrd=") {
			check(path, errors.New("initrd= is written from Initrds"))
		}
		b.WriteString(" " + arg)
	}
	b.WriteString("\n" + initrds.String() + "boot\n")
	return problems.ErrorOrNil()
}

func initrdName(initrd Initrd, i int) string {
	switch {
	case initrd.Name != "":
		return initrd.Name
	case i == 0:
		return "initrd"
	}
	return "initrd" + strconv.Itoa(i+1)
}

func checkName(name string) error {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_'
		if !letter && (i == 0 || r != '.' && r != '-') {
			return fmt.Errorf("%q, expected [A-Za-z0-9._-], beginning with a letter or digit", name)
		}
	}
	return nil
}

// checkWord refuses what iPXE would not take as one plain word.
func checkWord(word string) error {
	switch {
	case word == "":
		return errors.New("empty")
	case strings.ContainsFunc(word, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar
	}):
		return fmt.Errorf("%q has a space or control character, expected one word", word)
	case isSeparator(word):
		return fmt.Errorf("%q would end the command", word)
	}
	return nil
}

// isSeparator tells the words at which iPXE ends a command.
func isSeparator(word string) bool {
	return word == "||" || word == "&&" || word == ";" || strings.HasPrefix(word, "#")
}

func checkURL(raw string) error {
	if err := checkWord(raw); err != nil {
		return err
	}
	if strings.HasPrefix(raw, "-") {
		return fmt.Errorf("%q would be an option", raw)
	}
	// The variables are the machine's to fill in; to net/url they are no URL.
	u, err := url.Parse(expand(raw, map[string]string{}))
	if err != nil {
		return fmt.Errorf("%q is no URL", raw)
	}
	switch u.Scheme {
	case "http", "https", "tftp":
		if u.Host == "" && !strings.Contains(raw, "://${") {
			return fmt.Errorf("%q has no host", raw)
		}
	case "":
	default:
		return fmt.Errorf("%q, expected http, https, tftp or a relative URL", raw)
	}
	return nil
}

// printable makes a sentence safe to echo.
func printable(s string) string {
	const plain = " .,:/_()+=@'-"
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(plain, r):
			return r
		}
		return '?'
	}, s)
}

// expand replaces ${name} by its value, or by nothing, as iPXE does.
func expand(s string, variables map[string]string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "${")
		name, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(before + variables[name])
		s = after
	}
}

// ParseScript reads a script as a machine runs it when every command succeeds, and returns
// what it boots: a Decision with ActionBoot or ActionLocal. variables are iPXE's, such as
// "net0/mac"; one that is not in the map expands to nothing. With a nil map they stay as they
// are.
//
// It knows echo, kernel, initrd, boot, exit and sanboot; another command is ErrScript. So is
// a script that ends in success without booting, which leaves UEFI firmware in its boot
// manager.
func ParseScript(script string, variables map[string]string) (*Decision, error) {
	lines := strings.Split(strings.ReplaceAll(script, "\r\n", "\n"), "\n")
	if lines[0] != "#!ipxe" {
		return nil, fmt.Errorf("%w: line 1: %.40q, expected #!ipxe", ErrScript, lines[0])
	}
	d := &Decision{Action: ActionBoot}
	for i, line := range lines[1:] {
		if variables != nil {
			line = expand(line, variables)
		}
		done, err := d.run(words(line))
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrScript, i+2, err)
		}
		if done {
			return d, nil
		}
	}
	return nil, fmt.Errorf("%w: ends without boot or exit 1", ErrScript)
}

// words splits a line as iPXE does, up to the first separator: what follows it runs after a
// failure, or not at all.
func words(line string) []string {
	all := strings.Fields(line)
	for i, word := range all {
		if isSeparator(word) {
			return all[:i]
		}
	}
	return all
}

// run performs one command on d; done says that the script ended with it.
func (d *Decision) run(command []string) (done bool, err error) {
	if len(command) == 0 {
		return false, nil
	}
	args := command[1:]
	switch command[0] {
	case "echo":
		return false, nil
	case "kernel":
		if len(args) == 0 || strings.HasPrefix(args[0], "-") {
			return false, errors.New("kernel: expected a URL first")
		}
		d.Kernel, d.Args = args[0], nil
		for _, arg := range args[1:] {
			if !strings.HasPrefix(arg, "initrd=") {
				d.Args = append(d.Args, arg)
			}
		}
		return false, nil
	case "initrd":
		initrd := Initrd{}
		if len(args) >= 2 && (args[0] == "--name" || args[0] == "-n") {
			initrd.Name, args = args[1], args[2:]
		}
		if len(args) != 1 || strings.HasPrefix(args[0], "-") {
			return false, errors.New("initrd: expected [--name NAME] URL")
		}
		initrd.URL = args[0]
		d.Initrds = append(d.Initrds, initrd)
		return false, nil
	case "boot":
		if d.Kernel == "" || len(args) > 0 {
			return false, errors.New("boot: expected a kernel before it and nothing after it")
		}
		return true, nil
	case "exit":
		if len(args) != 1 || args[0] == "0" {
			return false, errors.New("exit: expected exit 1; after a success UEFI firmware stops in its boot manager")
		}
		if status, err := strconv.ParseUint(args[0], 0, 32); err != nil || status == 0 {
			return false, fmt.Errorf("exit: status %q", args[0])
		}
		*d = Decision{Action: ActionLocal, Local: LocalExit}
		return true, nil
	case "sanboot":
		*d = Decision{Action: ActionLocal, Local: LocalSanboot}
		return true, nil
	}
	return false, fmt.Errorf("unknown command %q", command[0])
}
