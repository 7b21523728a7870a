package lifecycle

// The states of the default lifecycle. Names are Crowbar's.
const (
	Discovering        = "discovering"
	Discovered         = "discovered"
	HardwareInstalling = "hardware-installing"
	HardwareInstalled  = "hardware-installed"
	Installing         = "installing"
	Installed          = "installed"
	Readying           = "readying"
	Ready              = "ready"
	Applying           = "applying"
	Recovering         = "recovering"
	Problem            = "problem"
	Reboot             = "reboot"
	Shutdown           = "shutdown"
	Update             = "update"
	HardwareUpdating   = "hardware-updating"
	HardwareUpdated    = "hardware-updated"
	Reinstall          = "reinstall"
	Reset              = "reset"
	Debug              = "debug"
	Delete             = "delete"
	DeleteFinal        = "delete-final"
)

// The events of the default lifecycle that are not named after the state they lead to. All
// others are: a node that asks for "installed" fires the event "installed".
const (
	// EventAllocate ends the pause: the node is given to its roles.
	EventAllocate = "allocate"
	// EventReplan returns to the pause a node that was found other than its grant says.
	EventReplan = "replan"
	// EventApply begins to apply a proposal, EventApplied ends it.
	EventApply   = "apply"
	EventApplied = "applied"
)

// GuardGranted holds while the node has a grant for what the state destroys. The engine
// answers it.
const GuardGranted = "granted"

// The actors of a lifecycle.
const (
	// ActorOperator is a person.
	ActorOperator = "operator"
	// ActorRule is a release rule: the operator's decision, taken beforehand.
	ActorRule = "rule"
	// ActorNode is the agent or installer on the node.
	ActorNode = "node"
	// ActorEngine is the server.
	ActorEngine = "engine"
	// ActorBMC is the node's management controller.
	ActorBMC = "bmc"
)

// Action is what a node does when it boots from the network. Names are Crowbar's.
type Action string

const (
	// ActionDiscovery boots the discovery image to take the inventory.
	ActionDiscovery Action = "discovery"
	// ActionHWInstall boots the image to have the hardware configured.
	ActionHWInstall Action = "hwinstall"
	// ActionOSInstall boots the installer of the operating system.
	ActionOSInstall Action = "os_install"
	// ActionUpdate boots the image for a hardware update.
	ActionUpdate Action = "update"
	// ActionExecute boots from the node's own disk. It is also the action of a state that
	// names none: a doubt gets the harmless thing.
	ActionExecute Action = "execute"
	// ActionReset boots the discovery image and forgets what was known of the node.
	ActionReset Action = "reset"
	// ActionNoop leaves the node alone: it is being deleted, and boots from its own disk.
	ActionNoop Action = "noop"
	// ActionDelete takes the node out of DHCP and network boot.
	ActionDelete Action = "delete"
	// ActionDebug boots the image, which then idles.
	ActionDebug Action = "debug"
)

const actionNames = "discovery, hwinstall, os_install, update, execute, reset, noop, delete or debug"

func (a Action) known() bool {
	switch a {
	case ActionDiscovery, ActionHWInstall, ActionOSInstall, ActionUpdate, ActionExecute,
		ActionReset, ActionNoop, ActionDelete, ActionDebug:
		return true
	}
	return false
}

// Destructive reports whether the action wipes or writes the node's disks.
func (a Action) Destructive() bool { return a == ActionHWInstall || a == ActionOSInstall }
