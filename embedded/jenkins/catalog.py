"""What the stand-in's repository offers, as data: versions of Jenkins, and plugins with what they need."""

from __future__ import annotations

from dataclasses import dataclass

JENKINS_VERSIONS = ("2.541.3", "2.555.1", "2.568.1", "2.568.2")
PLUGIN_MANAGER_VERSION = "2.14.0"


@dataclass(frozen=True)
class Plugin:
    name: str
    version: str
    title: str
    core: str
    """The oldest Jenkins that it runs on."""
    needs: tuple[tuple[str, str], ...] = ()
    optional: tuple[tuple[str, str], ...] = ()

    @property
    def dependencies(self) -> str:
        """As META-INF/MANIFEST.MF says it."""
        return ",".join([*(f"{name}:{version}" for name, version in self.needs),
                         *(f"{name}:{version};resolution:=optional" for name, version in self.optional)])


# What the real aws-codepipeline 0.47 needs is in its manifest, which could not be read here: its source names no
# plugin, since it bundles the AWS SDK, and Jenkins adds the plugins that were once part of core to one that was built
# for an older core. Three of those stand here, so that there is something to resolve. timestamper 1.99 and
# cloudbees-folder 6.999 do not exist: the first needs a Jenkins that is not there, the second a plugin that is not
# there, so that a refusal can be seen.
PLUGINS = (
    Plugin("aws-codepipeline", "0.47", "AWS CodePipeline Plugin", "2.387.3", (("javax-activation-api", "1.2.0-6"),
           ("javax-mail-api", "1.6.2-9"), ("sshd", "3.303.vefc7119b_ec23"))),
    Plugin("aws-codepipeline", "0.48", "AWS CodePipeline Plugin", "2.387.3", (("javax-activation-api", "1.2.0-6"),
           ("javax-mail-api", "1.6.2-9"), ("sshd", "3.303.vefc7119b_ec23"))),
    Plugin("aws-codepipeline", "0.49", "AWS CodePipeline Plugin", "2.387.3", (("javax-activation-api", "1.2.0-6"),
           ("javax-mail-api", "1.6.2-9"), ("sshd", "3.303.vefc7119b_ec23"))),
    Plugin("javax-activation-api", "1.2.0-6", "JavaBeans Activation Framework (JAF) API", "2.387.3"),
    Plugin("javax-activation-api", "1.2.0-8", "JavaBeans Activation Framework (JAF) API", "2.479.1"),
    Plugin("javax-mail-api", "1.6.2-9", "JavaMail API", "2.361.4", (("javax-activation-api", "1.2.0-5"),)),
    Plugin("javax-mail-api", "1.6.2-11", "JavaMail API", "2.479.1", (("javax-activation-api", "1.2.0-8"),)),
    Plugin("javax-activation-api", "1.2.0-5", "JavaBeans Activation Framework (JAF) API", "2.361.4"),
    Plugin("sshd", "3.303.vefc7119b_ec23", "SSH server", "2.361.4"),
    Plugin("sshd", "3.374.v19b_d59ce6610", "SSH server", "2.541.1"),
    Plugin("timestamper", "1.27", "Timestamper", "2.440.3", (), (("workflow-step-api", "678.v3ee58b_469476"),)),
    Plugin("timestamper", "1.99", "Timestamper", "2.600.1"),
    Plugin("cloudbees-folder", "6.999", "Folders", "2.492.3", (("missing-api", "1.0"),)),
)
