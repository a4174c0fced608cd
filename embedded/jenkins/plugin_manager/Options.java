package io.jenkins.tools.pluginmanager.cli;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;

/** The command line and the environment, as the tool's README has them. */
final class Options {
    static final String USAGE = String.join(System.lineSeparator(),
            " --available-updates                   : Show available plugin updates for the requested plugins",
            " --clean-download-directory (-c)       : Clean the plugin download directory before installing",
            " --jenkins-plugin-info URL             : Location of plugin info, also JENKINS_PLUGIN_INFO",
            " --jenkins-update-center URL           : Main update center, also JENKINS_UC",
            " --jenkins-version VERSION             : Jenkins version, also JENKINS_VERSION",
            " --latest VAL                          : Latest versions of all dependencies (default: true)",
            " --latest-specified                    : Latest dependencies of plugins that are asked for as latest",
            " --list (-l)                           : List installed, requested and resulting plugins",
            " --no-download                         : Do not download plugins",
            " --output (-o) [STDOUT]                : Format of the list",
            " --plugin-download-directory (-d) DIR  : Directory in which to install plugins, also PLUGIN_DIR",
            " --plugin-file (-f) FILE               : Path to plugins.txt",
            " --plugins (-p) PLUGINS                : Plugins to install, separated by spaces",
            " --skip-failed-plugins                 : Skip plugins that fail to download",
            " --verbose                             : Verbose logging",
            " --version (-v)                        : Version of this tool",
            " --war (-w) WAR                        : Path to jenkins.war");

    final List<Plugin> plugins = new ArrayList<>();
    File directory = new File(environment("PLUGIN_DIR", "/usr/share/jenkins/ref/plugins"));
    File war;
    String jenkinsVersion = environment("JENKINS_VERSION", "");
    String updateCenter = environment("JENKINS_UC", "https://updates.jenkins.io/update-center.actual.json");
    String pluginInfo = environment("JENKINS_PLUGIN_INFO", "https://updates.jenkins.io/current/plugin-versions.json");
    boolean latest = true;
    boolean latestSpecified;
    boolean list;
    boolean verbose;
    boolean download = true;
    boolean clean;
    boolean skipFailed;
    boolean updates;
    boolean showVersion;
    boolean help;

    Options(String[] arguments) throws IOException {
        List<String> words = new ArrayList<>();
        for (String argument : arguments) {
            int sign = argument.startsWith("--") ? argument.indexOf('=') : -1;
            words.add(sign < 0 ? argument : argument.substring(0, sign));
            if (sign >= 0) {
                words.add(argument.substring(sign + 1));
            }
        }
        for (int i = 0; i < words.size(); i++) {
            String word = words.get(i);
            switch (word) {
                case "--list": case "-l": list = true; break;
                case "--verbose": verbose = true; break;
                case "--no-download": download = false; break;
                case "--clean-download-directory": case "-c": clean = true; break;
                case "--skip-failed-plugins": skipFailed = true; break;
                case "--available-updates": updates = true; break;
                case "--latest-specified": latestSpecified = true; latest = false; break;
                case "--version": case "-v": showVersion = true; break;
                case "--help": case "-h": help = true; break;
                case "--view-security-warnings": case "--view-all-security-warnings": case "--hide-security-warnings": break;
                case "--plugins": case "-p":
                    while (i + 1 < words.size() && !words.get(i + 1).startsWith("-")) {
                        plugins.add(Plugin.parse(words.get(++i)));
                    }
                    break;
                default:
                    if (i + 1 >= words.size()) {
                        throw new Failure("\"" + word + "\" is not a valid option");
                    }
                    valued(word, words.get(++i));
            }
        }
    }

    private void valued(String option, String value) throws IOException {
        switch (option) {
            case "--plugin-file": case "-f": read(new File(value)); break;
            case "--plugin-download-directory": case "-d": directory = new File(value); break;
            case "--war": case "-w": war = new File(value); break;
            case "--jenkins-version": jenkinsVersion = value; break;
            case "--jenkins-update-center": updateCenter = value; break;
            case "--jenkins-plugin-info": pluginInfo = value; break;
            case "--latest": latest = Boolean.parseBoolean(value); break;
            case "--output": case "-o":
                if (!value.equalsIgnoreCase("stdout")) {
                    throw new Failure("\"" + value + "\" is not a valid value for \"--output\"");
                }
                break;
            default: throw new Failure("\"" + option + "\" is not a valid option");
        }
    }

    private void read(File file) throws IOException {
        if (!file.exists()) {
            throw new Failure("File containing list of plugins does not exist");
        }
        if (!file.getName().endsWith(".txt")) {
            throw new Failure("Unknown file type, file must have .yaml/.yml or .txt extension");
        }
        for (String line : Files.readAllLines(file.toPath())) {
            String text = line.replaceAll("#.*", "").trim();
            if (!text.isEmpty()) {
                plugins.add(Plugin.parse(text));
            }
        }
    }

    private static String environment(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }
}
