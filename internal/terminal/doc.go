// Package terminal connects the user's terminal with the pty of a container.
//
// The pty comes from the container's own devpts; its master is not believed to be one
// ([CheckMaster]). A [Session] keeps the modes of the user's terminal, makes it raw while
// the container has it, copies bytes both ways, and gives the modes back on every way out:
//
//	session, err := terminal.Open(0, 1)
//	defer session.Close()
//	session.Raw()
//	err = session.Relay(master) // until End, in its own goroutine
//
// All signals are received in one place, by the caller, who offers each to
// [Session.HandleSignal] and calls [Session.End] when the container is gone. A
// caller that ends without running its deferred calls, by os.Exit, calls
// [Session.Restore] first. SIGWINCH, SIGTSTP and SIGCONT are the session's own. SIGTERM, SIGHUP, SIGINT and SIGQUIT must be handled
// from before Raw, because their default action ends the process as it is.
// SIGTTIN and SIGTTOU must be left alone: a program that catches them and
// touches its terminal in the background spins.
//
// The user's descriptors are shared with the shell and whoever else holds them,
// so their O_NONBLOCK flag is neither set nor relied on. No byte is read from
// the user unless the container is there to take it: what is typed after its
// end belongs to the shell.
package terminal
