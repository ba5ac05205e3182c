package main

func (s *host) startUpstream() {}
