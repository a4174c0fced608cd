package io.jenkins.tools.pluginmanager.cli;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** Resolves what is asked for with all it needs, refuses what does not fit, downloads the rest. */
final class PluginManager {
    private final Options options;
    private final Version jenkins;
    private Map<String, Object> latest;
    private Map<String, Object> versions;

    PluginManager(Options options) {
        this.options = options;
        String version = options.jenkinsVersion;
        if (version.isEmpty() && options.war != null) {
            version = Downloads.attribute(options.war, "Jenkins-Version");
            if (version == null || version.isEmpty()) {
                System.out.println("Unable to get Jenkins version from the WAR file " + options.war.getPath());
            }
        }
        jenkins = version == null || version.isEmpty() ? null : new Version(version);
        if (jenkins == null) {
            System.out.println("Unable to determine Jenkins version");
        }
    }

    void start() throws IOException {
        readUpdateCenter();
        if (options.updates) {
            showUpdates();
            return;
        }
        prepareDirectory();
        Map<String, Plugin> installed = installed();
        Map<String, Plugin> wanted = resolve();
        List<Plugin> missing = new ArrayList<>();
        for (Plugin plugin : wanted.values()) {
            Plugin present = installed.get(plugin.name);
            if (present == null) {
                say("Will install new plugin " + plugin.name + " " + plugin.version);
                missing.add(plugin);
            } else if (present.version.olderThan(plugin.version)) {
                say("Installed version (" + present.version + ") of " + plugin.name
                        + " is less than minimum required version of " + plugin.version
                        + ", bundled plugin will be upgraded");
                missing.add(plugin);
            }
        }
        if (options.list) {
            list(installed, wanted, missing);
        }
        check(missing);
        if (options.download) {
            download(missing);
        }
        System.out.println("Done");
    }

    private void readUpdateCenter() {
        say("\nRetrieving update center information");
        String address = options.updateCenter + (jenkins == null ? "" : "?version=" + jenkins);
        say("Update center URL: " + address);
        try {
            latest = Json.map(Json.object(Downloads.text(address)).get("plugins"));
            versions = Json.map(Json.object(Downloads.text(options.pluginInfo)).get("plugins"));
        } catch (IOException | IllegalArgumentException error) {
            throw new Failure("Error getting update center json", error);
        }
    }

    private void prepareDirectory() throws IOException {
        File[] files = options.directory.listFiles();
        if (options.clean && files != null) {
            say("Cleaning up the target plugin directory: " + options.directory);
            for (File file : files) {
                delete(file);
            }
        }
        if (!options.download || options.directory.isDirectory()) {
            return;
        }
        try {
            Files.createDirectories(options.directory.toPath());
        } catch (IOException error) {
            throw new Failure("Unable to create plugin directory: '" + options.directory
                    + "', supply a directory with -d <your-directory>", error);
        }
    }

    private static void delete(File file) throws IOException {
        try (java.util.stream.Stream<Path> walk = Files.walk(file.toPath())) {
            for (Path path : walk.sorted(Comparator.reverseOrder()).collect(Collectors.toList())) {
                Files.delete(path);
            }
        }
    }

    private Map<String, Plugin> installed() {
        Map<String, Plugin> found = new TreeMap<>();
        File[] files = options.directory.listFiles((directory, name) -> name.endsWith(".jpi"));
        for (File file : files == null ? new File[0] : files) {
            String name = file.getName().substring(0, file.getName().length() - ".jpi".length());
            String version = Downloads.attribute(file, "Plugin-Version");
            if (version == null || version.isEmpty()) {
                System.out.println("Unable to get plugin version from " + file);
                version = "";
            }
            found.put(name, new Plugin(name, version, null));
        }
        return found;
    }

    // -- what is needed ---------------------------------------------------------------------------------------------

    private Map<String, Plugin> resolve() {
        Map<String, Plugin> asked = new TreeMap<>();
        for (Plugin plugin : options.plugins) {
            asked.put(plugin.name, plugin);
        }
        Map<String, Plugin> all = new TreeMap<>(asked);
        Deque<Plugin> queue = new ArrayDeque<>(asked.values());
        while (!queue.isEmpty()) {
            Plugin plugin = queue.poll();
            boolean newest = options.latest || options.latestSpecified && plugin.isLatest();
            for (Plugin need : dependencies(plugin)) {
                if (newest && latest.containsKey(need.name)) {
                    need.version = new Version((String) Json.map(latest.get(need.name)).get("version"));
                }
                Plugin known = all.get(need.name);
                if (known == null || known.version.olderThan(need.version) && !known.isLatest()) {
                    if (known != null) {
                        say("Version of " + known.name + " (" + known.version + ") is lower than the version required ("
                                + need.version + ") by " + plugin.name + " (" + plugin.version
                                + "), upgrading required plugin version");
                    }
                    all.put(need.name, need);
                    queue.add(need);
                }
            }
        }
        return all;
    }

    /** Fills the plugin's core and checksum from the update centre, and returns what it needs. */
    private List<Plugin> dependencies(Plugin plugin) {
        List<Plugin> found = new ArrayList<>();
        Map<String, Object> entry = entry(plugin);
        if (entry == null) {
            return manifestDependencies(plugin);
        }
        plugin.core = new Version((String) entry.get("requiredCore"));
        plugin.checksum = plugin.url == null ? (String) entry.get("sha256") : null;
        for (Object item : Json.list(entry.get("dependencies"))) {
            Map<String, Object> need = Json.map(item);
            if (!Boolean.TRUE.equals(need.get("optional"))) {
                found.add(new Plugin((String) need.get("name"), (String) need.get("version"), null));
            }
        }
        report(plugin, found);
        return found;
    }

    private Map<String, Object> entry(Plugin plugin) {
        if (plugin.isLatest()) {
            if (!latest.containsKey(plugin.name)) {
                throw new Failure("Unable to find plugin " + plugin.name + " in update center " + options.updateCenter);
            }
            Map<String, Object> entry = Json.map(latest.get(plugin.name));
            plugin.version = new Version((String) entry.get("version"));
            return entry;
        }
        Map<String, Object> known = plugin.url == null ? Json.map(versions.get(plugin.name)) : null;
        return known == null ? null : Json.map(known.get(plugin.version.toString()));
    }

    /** For a plugin that the update centre does not know: it is downloaded and asked. */
    private List<Plugin> manifestDependencies(Plugin plugin) {
        List<Plugin> found = new ArrayList<>();
        try {
            File file = Files.createTempFile(plugin.name, ".jpi").toFile();
            try {
                if (!Downloads.plugin(url(plugin), plugin, file)) {
                    throw new Failure("Unable to resolve dependencies for " + plugin.name);
                }
                String core = Downloads.attribute(file, "Jenkins-Version");
                plugin.core = core == null ? null : new Version(core);
                String text = Downloads.attribute(file, "Plugin-Dependencies");
                for (String item : text == null || text.isEmpty() ? new String[0] : text.split(",")) {
                    if (!item.contains("resolution:=optional")) {
                        String[] parts = item.split("[:;]");
                        found.add(new Plugin(parts[0], parts[1], null));
                    }
                }
            } finally {
                Files.deleteIfExists(file.toPath());
            }
        } catch (IOException error) {
            throw new Failure("Unable to resolve dependencies for " + plugin.name, error);
        }
        report(plugin, found);
        return found;
    }

    private void report(Plugin plugin, List<Plugin> needs) {
        say(needs.isEmpty() ? "\n" + plugin.name + " has no dependencies" : "\n" + plugin.name + " depends on: \n"
                + needs.stream().map(Plugin::toString).collect(Collectors.joining("\n")));
    }

    private void check(Collection<Plugin> plugins) {
        List<String> problems = new ArrayList<>();
        for (Plugin plugin : plugins) {
            if (jenkins != null && plugin.core != null && jenkins.olderThan(plugin.core)) {
                problems.add("\n" + plugin.name + " (" + plugin.version + ") requires a greater version of Jenkins ("
                        + plugin.core + ") than " + jenkins);
            }
        }
        if (!problems.isEmpty()) {
            throw new Failure((problems.size() > 1 ? "Multiple plugin prerequisites " : "Plugin prerequisite ")
                    + "not met:\n" + String.join(",\n", problems));
        }
    }

    // -- download ---------------------------------------------------------------------------------------------------

    private String url(Plugin plugin) {
        String tail = plugin.name + "/" + plugin.version + "/" + plugin.name + ".hpi";
        String base = System.getenv("JENKINS_UC_DOWNLOAD_URL");
        String old = System.getenv("JENKINS_UC_DOWNLOAD");
        if (plugin.url != null) {
            return plugin.url;
        }
        if (base != null && !base.isEmpty()) {
            return base.replaceAll("/+$", "") + "/" + tail;
        }
        if (old != null && !old.isEmpty()) {
            return old.replaceAll("/+$", "") + "/plugins/" + tail;
        }
        URI centre = URI.create(options.updateCenter);
        String authority = centre.getRawAuthority();
        return centre.getScheme() + "://" + (authority == null ? "" : authority) + "/download/plugins/" + tail;
    }

    private void download(List<Plugin> plugins) throws IOException {
        Path work = Files.createTempDirectory("plugin-installation-manager-downloads");
        List<String> failed = new ArrayList<>();
        for (Plugin plugin : plugins) {
            String url = url(plugin);
            say("Will use url: " + url + " to download " + plugin.name + " plugin");
            if (!Downloads.plugin(url, plugin, work.resolve(plugin.name + ".jpi").toFile())) {
                if (!options.skipFailed) {
                    throw new Failure("Unable to download " + plugin.name);
                }
                System.out.println("SKIP: Unable to download " + plugin.name);
                failed.add(plugin.name);
            }
        }
        for (Plugin plugin : plugins) {
            if (failed.contains(plugin.name)) {
                continue;
            }
            Path target = options.directory.toPath().resolve(plugin.name + ".jpi");
            try {
                if (Files.exists(target)) {
                    Files.move(target, options.directory.toPath().resolve(plugin.name + ".bak"),
                            StandardCopyOption.REPLACE_EXISTING);
                }
                Files.move(work.resolve(plugin.name + ".jpi"), target, StandardCopyOption.REPLACE_EXISTING);
            } catch (IOException error) {
                throw new Failure("Unable to move " + plugin.name + " to the plugin directory", error);
            }
        }
        delete(work.toFile());
    }

    // -- words ------------------------------------------------------------------------------------------------------

    private void showUpdates() {
        System.out.println("Available updates:");
        for (Plugin plugin : options.plugins) {
            Map<String, Object> entry = Json.map(latest.get(plugin.name));
            if (entry != null && plugin.version.olderThan(new Version((String) entry.get("version")))) {
                System.out.println(plugin.name + " (" + plugin.version + ") has an available update: "
                        + entry.get("version"));
            }
        }
    }

    private void list(Map<String, Plugin> installed, Map<String, Plugin> wanted, List<Plugin> missing) {
        Map<String, Plugin> result = new TreeMap<>(installed);
        missing.forEach(plugin -> result.put(plugin.name, plugin));
        show("\nInstalled plugins:", installed.values());
        show("Bundled plugins:", new ArrayList<>());
        show("All requested plugins:", wanted.values());
        show("Plugins that will be downloaded:", missing);
        show("Resulting plugin list:", result.values());
    }

    private static void show(String title, Collection<Plugin> plugins) {
        System.out.println(title);
        plugins.forEach(System.out::println);
        System.out.println();
    }

    private void say(String text) {
        if (options.verbose) {
            System.out.println(text);
        }
    }
}
