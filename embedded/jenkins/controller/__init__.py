"""The stand-in for Jenkins' controller: runs from jenkins.war with the standard library alone."""
