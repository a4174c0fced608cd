package io.jenkins.tools.pluginmanager.cli;

/** One plugin that is asked for, needed by another one, or installed. */
final class Plugin {
    final String name;
    final String url;
    Version version;
    Version core;
    String checksum;

    Plugin(String name, String version, String url) {
        this.name = name;
        this.version = new Version(version);
        this.url = url;
    }

    boolean isLatest() {
        return version.toString().equals("latest");
    }

    /** artifact, artifact:version, artifact:version:url, and artifact::url for any version from there. */
    static Plugin parse(String line) {
        String[] parts = line.trim().split(":", 3);
        if (!parts[0].matches("[A-Za-z0-9][A-Za-z0-9._-]*")) {
            throw new Failure("Invalid plugin name: " + parts[0]);
        }
        String url = parts.length > 2 && !parts[2].isEmpty() ? parts[2] : null;
        if (parts.length > 1 && parts[1].startsWith("incrementals;")) {
            throw new Failure("incrementals are not known to this tool: " + line);
        }
        return new Plugin(parts[0], parts.length > 1 && !parts[1].isEmpty() ? parts[1] : "latest", url);
    }

    @Override
    public String toString() {
        return name + " " + version;
    }
}
