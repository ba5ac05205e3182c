// Package usermode tries --net=auto, pasta and slirp4netns with the real drivers: containers that rl-run starts on a
// host made of namespaces, with a name server on its loopback, and another machine behind its default route. It holds
// nothing but tests.
package usermode
