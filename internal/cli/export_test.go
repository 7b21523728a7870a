package cli

// Command is how the demo says that the program is run again.
var Command = command
